// How much the reads of one step may cost together, and that a client which takes no more holds only itself up.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Room for reads in a step")
struct APIRoomTests {
  private static let list = APIRequest(verb: .list, kind: .configmaps, namespace: "default")

  private func harness(_ count: Int) throws -> APIHarness {
    let harness = try APIHarness()
    for number in 0..<count { harness.send(Self.create("m\(1_000 + number)")) }
    return harness
  }

  private func itemCount(_ effects: [CoordinatorEffect]) -> Int {
    effects.reduce(0) { sum, effect in
      switch effect {
      case .reply(_, .items(let items)): sum + items.count
      case .reply(_, .event(let type, _)): sum + (type == "ADDED" ? 1 : 0)
      default: sum
      }
    }
  }

  @Test("many lists and watches in one step show 256 objects together, and each is whole in the end")
  func shared() throws {
    let harness = try harness(300)
    var watch = Self.list
    watch.verb = .watch
    var ids: [RequestID] = []
    var events: [CoordinatorEvent] = []
    for number in 0..<8 {
      ids.append(RequestID(10_000 + number))
      events.append(.request(RequestID(10_000 + number), number % 2 == 0 ? Self.list : watch))
    }
    var effects = harness.step(events)
    #expect(itemCount(effects) == CoordinatorCore.roundLimit)
    var steps = 1
    while harness.core.hasMoreToAnswer {
      effects = harness.step([.timer])
      #expect(itemCount(effects) <= CoordinatorCore.roundLimit)
      steps += 1
      try #require(steps < 50)
    }
    let all = (0..<300).map { "m\(1_000 + $0)" }
    for id in ids {
      let answer = harness.answer(id)
      let names = answer.events.map { $0.object[path: ["metadata", "name"]]?.stringValue ?? "" }
      #expect((answer.items.isEmpty ? names : answer.itemNames).sorted() == all)
    }
  }

  @Test("a client that is behind gets no more of its list or watch, others do; then it goes on where it was")
  func held() throws {
    let harness = try harness(600)
    var watch = Self.list
    watch.verb = .watch
    harness.step([.request(9_001, Self.list), .requestHeld(9_001, true)])
    harness.step([.request(9_002, watch), .requestHeld(9_002, true)])
    let some = (harness.answer(9_001).items.count, harness.answer(9_002).events.count)
    #expect(!harness.core.hasMoreToAnswer)
    for _ in 0..<5 { harness.step([.timer]) }
    #expect(harness.ask(Self.list).items.count == 600)
    #expect(harness.answer(9_001).items.count == some.0 && harness.answer(9_002).events.count == some.1)
    harness.step([.requestHeld(9_001, false), .requestHeld(9_002, false)])
    for _ in 0..<10 { harness.step([.timer]) }
    #expect(harness.answer(9_001).items.count == 600 && harness.answer(9_001).code == 200)
    #expect(harness.answer(9_002).events.count == 600)
  }

  @Test("a watch that is held back longer than the history reaches is told to begin again")
  func heldTooLong() throws {
    let harness = try APIHarness { $0.watchHistoryLimit = 50 }
    for number in 0..<300 { harness.send(Self.create("m\(1_000 + number)")) }
    var watch = Self.list
    watch.verb = .watch
    harness.step([.request(9_001, watch), .requestHeld(9_001, true)])
    #expect(harness.answer(9_001).events.count < 300)
    for number in 0..<120 { harness.send(Self.create("n\(number)")) }
    let answer = harness.answer(9_001)
    #expect(answer.code == 200)
    #expect(answer.events.last?.type == "ERROR")
    #expect(answer.events.last?.object["code"]?.intValue == 410)
  }

  private static func large(_ name: String) -> APIRequest {
    var request = create(name)
    request.body?["data"] = ["a": .string(String(repeating: "0123456789abcdef", count: 50_000))]
    return request
  }

  private func bytes(_ effects: [CoordinatorEffect]) -> Int {
    effects.reduce(0) { sum, effect in
      switch effect {
      case .reply(_, .items(let items)): sum + items.reduce(0) { $0 + $1.bytes.count }
      case .reply(_, .event(_, let object)), .reply(_, .done(_, let object, _)), .shown(_, .done(_, let object, _), _):
        sum + object.bytes.count
      default: sum
      }
    }
  }

  private static func of(_ name: String, _ request: APIRequest) -> APIRequest {
    var request = request
    request.subject = Subject(
      commonName: name, organizations: [Subject.masters], key: name, authority: "a", door: .native, from: "")!
    return request
  }

  @Test("reads of large objects share a step's bytes whatever they are, and another user's do not wait behind them")
  func largeObjects() throws {
    let harness = try harness(3)
    for number in 0..<4 { harness.send(Self.large("large\(number)")) }
    var get = Self.list
    (get.verb, get.name) = (.get, "large1")
    var watch = Self.list
    watch.verb = .watch
    var table = Self.list
    table.form = .table
    let greedy = [Self.list, watch, get, table].map { Self.of("greedy", $0) }
    let events = (0..<200).map { CoordinatorEvent.request(RequestID(20_000 + $0), greedy[$0 % 4]) }
    var namespaces = Self.list
    (namespaces.kind, namespaces.namespace) = (.namespaces, "")
    let modest: [CoordinatorEvent] = [
      .request(30_000, Self.of("modest", Self.list)), .request(30_001, Self.of("modest", namespaces)),
    ]
    // A step's room and the object that it ended with.
    let bound = CoordinatorCore.roundLimit * ObjectWeights.unit + (1 << 20)
    #expect(bytes(harness.step(events + modest)) <= bound)
    var steps = 1
    while harness.answer(30_000).code == nil || harness.answer(30_001).code == nil {
      #expect(bytes(harness.step([.timer])) <= bound)
      steps += 1
      try #require(steps < 20, "the modest user waits no longer than both users' turns take")
    }
    #expect(harness.answer(30_000).items.count == 7)
    while harness.core.hasMoreToAnswer {
      #expect(bytes(harness.step([.timer])) <= bound)
      steps += 1
      try #require(steps < 1_000)
    }
    for number in 0..<200 where number % 4 == 2 {
      #expect(harness.answer(RequestID(20_000 + number)).code == 200)
    }
    #expect(harness.answer(20_001).events.count == 7 && harness.answer(20_000).items.count == 7)
  }

  @Test("while answers wait in the shell lists go on an object a step; a read that waits may be cancelled or fail")
  func slowed() throws {
    let harness = try harness(50)
    harness.send(Self.large("large"))
    harness.core.answersWait = true
    #expect(itemCount(harness.step([.request(9_001, Self.list)])) == 1)
    #expect(itemCount(harness.step([.timer])) == 1)
    var get = Self.list
    (get.verb, get.name) = (.get, "large")
    harness.step([.request(9_002, get), .request(9_003, get), .requestCancelled(9_003)])
    var delete = get
    delete.verb = .delete
    harness.send(delete)
    harness.core.answersWait = false
    for _ in 0..<5 { harness.step([.timer]) }
    #expect(harness.answer(9_001).items.count == 51 && harness.answer(9_001).code == 200)
    #expect(harness.answer(9_002).code == 200 || harness.answer(9_002).code == 404)
    #expect(harness.answer(9_003).code == nil && !harness.core.hasMoreToAnswer)
  }

  @Test("what objects weigh is known again after a restart, and forgotten when they go")
  func weights() throws {
    let harness = try harness(1)
    harness.send(Self.large("large"))
    let key = ObjectKey(namespace: "default", name: "large")
    let reference = ObjectReference(kind: .configmaps, key: key)
    let object = try #require(harness.core.state[reference])
    #expect(harness.core.weights.units(object) == 1 + 800_000 / ObjectWeights.unit)
    var patch = Self.list
    (patch.verb, patch.name) = (.patch, "large")
    #expect(harness.core.weight(of: .request(1, patch)) == harness.core.weights.units(object))
    #expect(harness.core.weight(of: .request(1, Self.large("x"))) == 1 + 800_000 / ObjectWeights.unit)
    try harness.restart()
    #expect(harness.core.weights.units(object) == 1 + 800_000 / ObjectWeights.unit)
    var delete = patch
    delete.verb = .delete
    harness.send(delete)
    #expect(harness.core.weights.units(object) == 1)
  }

  private static func create(_ name: String) -> APIRequest {
    APIRequest(
      verb: .create, kind: .configmaps, namespace: "default",
      body: ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": ["a": "b"]])
  }
}
