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

  private static func create(_ name: String) -> APIRequest {
    APIRequest(
      verb: .create, kind: .configmaps, namespace: "default",
      body: ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": ["a": "b"]])
  }
}
