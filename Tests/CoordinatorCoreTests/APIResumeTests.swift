// Watches that go on after the coordinator died: what they missed they get once, or they are told to list again.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("watches across a restart") struct APIResumeTests {
  private func types(_ harness: APIHarness, _ id: RequestID) -> [String] {
    harness.answer(id).events.map { type, object in
      if type == "ERROR" { return "\(object["code"]?.intValue ?? 0)" }
      return "\(type) \(object[path: ["metadata", "name"]]?.stringValue ?? "")"
    }
  }

  @Test("objects made or changed since are ADDED or MODIFIED once, by version, and then comes what happens next")
  func missed() throws {
    let harness = try APIHarness()
    for name in ["a", "b", "c"] { harness.create(.configmaps, Manifest.configMap(name)) }
    let version = harness.list(.configmaps).resourceVersion
    harness.create(.configmaps, Manifest.configMap("elsewhere"), namespace: "kube-system")
    harness.create(.configmaps, Manifest.configMap("new"))
    harness.patch(.configmaps, "b", .merge, ["data": ["x": "1"]])
    harness.patch(.configmaps, "b", .merge, ["data": ["x": "2"]])
    harness.patch(.configmaps, "new", .merge, ["data": ["x": "1"]])
    try harness.restart()
    let id = harness.watch(.configmaps) { $0.resourceVersion = version }
    harness.patch(.configmaps, "new", .merge, ["data": ["x": "2"]])
    harness.delete(.configmaps, "a")
    #expect(types(harness, id) == ["MODIFIED b", "ADDED new", "MODIFIED new", "DELETED a"])
    let again = harness.watch(.configmaps) { $0.resourceVersion = version }
    #expect(types(harness, again) == types(harness, id))
    let all = harness.watch(.configmaps, namespace: "") { $0.resourceVersion = version }
    #expect(types(harness, all).first == "ADDED elsewhere")
  }

  @Test("a row of more values than any request may have, and deeper, is read at the start as it was written")
  func largeRows() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("large"))
    let owners = (0..<13).map { owner -> JSON in
      let fields = (0..<16_000).map { ("f:\($0)", JSON.object(JSONObject())) }
      let data = JSON.object(JSONObject(entries: [("f:data", .object(JSONObject(entries: fields)))]))
      return [
        "manager": .string("m\(owner)"), "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": data,
      ]
    }
    try harness.changeRow(.configmaps, "large") { $0[path: ["metadata", "managedFields"]] = .array(owners) }
    try harness.restart()
    let read = harness.get(.configmaps, "large")
    #expect(read.code == 200)
    #expect(read.object[path: ["metadata", "managedFields"]]?.arrayValue?.count == 13)
  }

  @Test("a deletion since is 410, of that kind only; one before is no matter")
  func deletions() throws {
    let harness = try APIHarness()
    for name in ["a", "b"] { harness.create(.configmaps, Manifest.configMap(name)) }
    harness.create(.secrets, Manifest.json(#"{"metadata":{"name":"s"}}"#))
    let before = harness.list(.configmaps).resourceVersion
    harness.delete(.configmaps, "a")
    let after = harness.list(.configmaps).resourceVersion
    try harness.restart()
    #expect(types(harness, harness.watch(.configmaps) { $0.resourceVersion = before }) == ["410"])
    #expect(types(harness, harness.watch(.configmaps) { $0.resourceVersion = after }).isEmpty)
    #expect(types(harness, harness.watch(.secrets) { $0.resourceVersion = before }).isEmpty)
    try harness.restart()
    #expect(types(harness, harness.watch(.configmaps) { $0.resourceVersion = before }) == ["410"])
    #expect(types(harness, harness.watch(.configmaps) { $0.resourceVersion = after }).isEmpty)
  }

  @Test("a selector that may have shown an older state is 410; a new object or a name is not")
  func selectors() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("old", labels: ["x": "1"]))
    let version = harness.list(.configmaps).resourceVersion
    harness.create(.configmaps, Manifest.configMap("new", labels: ["x": "1"]))
    harness.create(.configmaps, Manifest.configMap("other", labels: ["x": "2"]))
    try harness.restart()
    func resumed(_ change: (inout APIOptions) -> Void) -> [String] {
      types(
        harness,
        harness.watch(.configmaps) { options in
          options.resourceVersion = version
          change(&options)
        })
    }
    #expect(resumed { $0.labelSelector = "x=1" } == ["ADDED new"])
    harness.patch(.configmaps, "old", .merge, ["metadata": ["labels": ["x": "2"]]])
    #expect(resumed { $0.labelSelector = "x=1" } == ["ADDED new", "DELETED old"])
    try harness.restart()
    #expect(resumed { $0.labelSelector = "x=1" } == ["410"])
    #expect(resumed { $0.fieldSelector = "metadata.name=old" } == ["MODIFIED old"])
    #expect(resumed { $0.fieldSelector = "metadata.namespace=default" }.count == 3)
  }

  @Test("versions that were shown for Events before a crash never name another change")
  func reservedVersions() throws {
    let harness = try APIHarness()
    let event = Manifest.json(
      #"{"metadata":{"name":"e"},"involvedObject":{"namespace":"default"},"reason":"R","message":"m","type":"Normal"}"#)
    harness.create(.events, event)
    let shown = harness.list(.configmaps).resourceVersion
    #expect(!harness.effects.contains { if case .persist = $0 { true } else { false } })
    try harness.restart()
    harness.create(.configmaps, Manifest.configMap("a"))
    #expect(types(harness, harness.watch(.configmaps) { $0.resourceVersion = shown }) == ["ADDED a"])
    #expect(types(harness, harness.watch(.events) { $0.resourceVersion = shown }) == ["410"])
    #expect(types(harness, harness.watch(.events) { $0.resourceVersion = "1" }).isEmpty)
    let version = harness.list(.configmaps).resourceVersion
    try harness.restart()
    for index in 0..<2_500 {
      var body = event
      body[path: ["metadata", "name"]] = .string("e\(index)")
      harness.create(.events, body)
    }
    let late = Int64(harness.list(.events).resourceVersion) ?? 0
    try harness.restart()
    #expect(harness.core.state.resourceVersion >= late)
    #expect(harness.list(.events).items.count > 1_000, "now and then Events do cause a commit")
    #expect(types(harness, harness.watch(.configmaps) { $0.resourceVersion = version }).isEmpty)
  }

  /// A client that keeps a copy of a kind by list and watch, as informers do, and checks each event.
  private final class Informer {
    let kind: Kind
    let namespace: String
    var selector: String?
    private(set) var cache: [String: String] = [:]
    private var seen: Set<String> = []
    private var version: Int64 = 0
    private var watch: RequestID?
    private var read = 0
    private(set) var lists = 0
    private(set) var resumptions = 0

    init(_ kind: Kind, namespace: String = "", selector: String? = nil) {
      self.kind = kind
      self.namespace = namespace
      self.selector = selector
    }

    func list(_ harness: APIHarness) -> [String: String] {
      let answer = harness.list(kind, namespace: namespace) { $0.labelSelector = selector }
      version = Int64(answer.resourceVersion) ?? 0
      return Dictionary(uniqueKeysWithValues: answer.items.map { (Self.uid($0), Self.version($0)) })
    }

    private static func uid(_ object: JSON) -> String { object[path: ["metadata", "uid"]]?.stringValue ?? "" }
    private static func version(_ object: JSON) -> String {
      object[path: ["metadata", "resourceVersion"]]?.stringValue ?? ""
    }

    func connect(_ harness: APIHarness) {
      if version == 0 {
        cache = list(harness)
        lists += 1
      }
      watch = harness.watch(kind, namespace: namespace) { options in
        options.resourceVersion = String(version)
        options.labelSelector = selector
        options.allowWatchBookmarks = true
      }
      read = 0
      resumptions += 1
      take(harness)
    }

    func disconnect() { watch = nil }

    func take(_ harness: APIHarness) {
      guard let watch else { return }
      let events = harness.answer(watch).events
      for (type, object) in events[min(read, events.count)...] {
        read += 1
        if type == "ERROR" {
          #expect(object["code"] == 410)
          version = 0
          return connect(harness)
        }
        let uid = Self.uid(object)
        let number = Int64(Self.version(object)) ?? 0
        #expect(number > version || (type == "BOOKMARK" && number == version), "\(kind): \(type) goes back")
        version = number
        if type == "BOOKMARK" { continue }
        #expect(seen.insert("\(uid) \(number)").inserted, "\(kind): \(uid) at \(number) came twice")
        #expect((cache[uid] == nil) == (type == "ADDED"), "\(kind): \(type) of \(uid)")
        cache[uid] = type == "DELETED" ? nil : String(number)
      }
    }
  }

  @Test(
    "whatever happens over many lives, each watcher's copy is the list, and it is told nothing twice", arguments: 1...12
  )
  func lives(_ seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let harness = try APIHarness(seed: seed) { $0.watchHistoryLimit = seed % 3 == 0 ? 40 : 20_000 }
    func pick(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }
    let informers = [
      Informer(.configmaps), Informer(.configmaps, namespace: "default"), Informer(.jobs), Informer(.pods),
      Informer(.configmaps, selector: "x=1"), Informer(.configmaps, namespace: "default", selector: "x in (1,2)"),
      Informer(.events), Informer(.namespaces),
    ]
    func request() -> APIRequest {
      let namespace = ["default", "kube-system"][pick(2)]
      let name = "m\(pick(8))"
      switch pick(10) {
      case 0: return APIRequest(verb: .create, kind: .jobs, namespace: namespace, body: Manifest.job(name))
      case 1:
        var options = APIOptions()
        options.propagationPolicy = "Background"
        return APIRequest(verb: .delete, kind: .jobs, namespace: namespace, name: name, options: options)
      case 2...5:
        let map = Manifest.configMap(name, ["v": .string("\(pick(1_000))")], labels: ["x": .string("\(pick(3))")])
        return APIRequest(verb: .create, kind: .configmaps, namespace: namespace, body: map)
      case 6...8:
        var options = APIOptions()
        options.patchKind = .merge
        return APIRequest(
          verb: .patch, kind: .configmaps, namespace: namespace, name: name, options: options,
          body: ["metadata": ["labels": ["x": .string("\(pick(3))")]], "data": ["v": .string("\(pick(1_000))")]])
      default:
        guard pick(3) == 0 else { return APIRequest(verb: .get, kind: .pods, namespace: namespace, name: name) }
        return APIRequest(verb: .delete, kind: .configmaps, namespace: namespace, name: name)
      }
    }
    for life in 0..<12 {
      for informer in informers { informer.connect(harness) }
      for _ in 0..<pick(60) {
        harness.send(request())
        if pick(8) == 0 { harness.wait(milliseconds: Int64(pick(20_000))) }
        for informer in informers { informer.take(harness) }
      }
      for _ in 0..<20 { harness.step([.timer]) }
      for informer in informers { informer.take(harness) }
      for informer in informers where informer.kind != .events || life % 2 == 0 {
        #expect(informer.cache == informer.list(harness), "\(informer.kind) \(informer.selector ?? "")")
      }
      // What is committed and told to nobody.
      for index in 0..<pick(6) { harness.stepUnseen([.request(-Int64(index) - 1, request())]) }
      for informer in informers { informer.disconnect() }
      try harness.restart()
    }
    #expect(informers.map(\.resumptions).reduce(0, +) > informers.map(\.lists).reduce(0, +) + 20)
  }
}
