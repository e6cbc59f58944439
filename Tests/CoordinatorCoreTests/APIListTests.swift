// Lists and watches: order, pages, selectors, resumption, transitions, bookmarks, limits.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("lists") struct APIListTests {
  private func filled(_ count: Int) throws -> APIHarness {
    let harness = try APIHarness()
    for index in 0..<count {
      let name = "m" + String(repeating: "0", count: 4 - String(index).count) + "\(index)"
      harness.create(.configmaps, Manifest.configMap(name, labels: ["third": .string("\(index % 3)")]))
    }
    return harness
  }

  @Test("a long list comes in several turns, in order, with one version")
  func longList() throws {
    let harness = try filled(1000)
    let answer = harness.list(.configmaps)
    #expect(answer.items.count == 1000)
    #expect(answer.pieces > 3)
    #expect(answer.itemNames == answer.itemNames.sorted())
    #expect(answer.object["kind"] == "ConfigMapList")
    #expect(answer.object["items"] == nil)
    #expect(answer.resourceVersion == String(harness.core.state.resourceVersion))
  }

  @Test("a list of several turns shows one moment, whatever changes meanwhile: a watch from its version sees it all")
  func longListIsOneMoment() throws {
    let harness = try APIHarness()
    for index in 100..<800 { harness.create(.configmaps, Manifest.configMap("m\(index)")) }
    let version = harness.core.state.resourceVersion
    let id = harness.send(APIRequest(verb: .list, kind: .configmaps, namespace: "default"))
    #expect(harness.answer(id).code == nil)
    for name in ["m100", "m799", "m799"] { harness.patch(.configmaps, name, .merge, ["data": ["x": "y"]]) }
    harness.delete(.configmaps, "m798")
    harness.create(.configmaps, Manifest.configMap("m798"))
    harness.create(.configmaps, Manifest.configMap("zzz"))
    for _ in 0..<10 { harness.step([.timer]) }
    let answer = harness.answer(id)
    #expect(answer.itemNames == (100..<800).map { "m\($0)" })
    #expect(answer.resourceVersion == String(version))
    let versions = answer.items.map { Int64($0[path: ["metadata", "resourceVersion"]]?.stringValue ?? "") ?? 0 }
    #expect(versions.allSatisfy { 1...version ~= $0 })
  }

  @Test("while a list goes on, each turn asks to be called again at once, even within one millisecond")
  func wakes() throws {
    let harness = try filled(1000)
    let id = harness.send(APIRequest(verb: .list, kind: .configmaps, namespace: "default"))
    var turns = 0
    while harness.answer(id).code == nil, turns < 100 {
      #expect(harness.effects.contains(.wake(at: harness.now.boot)))
      harness.step([.timer])
      turns += 1
    }
    #expect(turns > 1)
    #expect(harness.answer(id).items.count == 1000)
  }

  @Test("pages follow on without a gap or a repeat, whatever changes between them")
  func pages() throws {
    let harness = try filled(100)
    var names: [String] = []
    var token: String?
    var versions: Set<String> = []
    repeat {
      let page = harness.list(.configmaps) { options in
        options.limit = 7
        options.continueToken = token
      }
      #expect(page.code == 200)
      names += page.itemNames
      versions.insert(page.resourceVersion)
      token = page.object[path: ["metadata", "continue"]]?.stringValue
      if token != nil { #expect(page.object[path: ["metadata", "remainingItemCount"]] != nil) }
      // What was shown goes, and new ones come before the place where the list goes on.
      if let last = page.itemNames.first { harness.delete(.configmaps, last) }
      harness.create(.configmaps, Manifest.configMap("a\(names.count)"))
    } while token != nil
    #expect(names == (0..<100).map { "m" + String(repeating: "0", count: 4 - String($0).count) + "\($0)" })
    #expect(versions.count == 1)
    #expect(harness.list(.configmaps) { $0.continueToken = "garbage" }.code == 400)
    #expect(harness.list(.configmaps) { $0.limit = -1 }.code == 400)
  }

  @Test("a page that ends exactly at the end has no token")
  func exactPage() throws {
    let harness = try filled(5)
    let page = harness.list(.configmaps) { $0.limit = 5 }
    #expect(page.items.count == 5)
    #expect(page.object[path: ["metadata", "continue"]] == nil)
  }

  @Test("label selectors choose, wrong ones are refused")
  func labelSelectors() throws {
    let harness = try filled(30)
    #expect(harness.list(.configmaps) { $0.labelSelector = "third=1" }.items.count == 10)
    #expect(harness.list(.configmaps) { $0.labelSelector = "third in (0,1)" }.items.count == 20)
    #expect(harness.list(.configmaps) { $0.labelSelector = "!third" }.items.isEmpty)
    let wrong = harness.list(.configmaps) { $0.labelSelector = "a in" }
    #expect(wrong.code == 400)
    #expect(wrong.message == "unable to parse requirement: found '' expected: '('")
  }

  @Test(
    "field selectors by kind",
    arguments: [
      (Kind.jobs, "metadata.name=a", ["a"]), (.jobs, "status.successful=0", ["a", "b"]),
      (.jobs, "metadata.name!=a", ["b"]), (.pods, "status.phase=Pending,spec.nodeName=", ["p"]),
      (.pods, "status.phase=Running", []), (.pods, "spec.restartPolicy=Always", ["p"]),
      (.configmaps, "metadata.namespace=default", ["m"]),
      (.namespaces, "status.phase=Active", ["default", "kube-node-lease", "kube-public", "kube-system"]),
      (.events, "involvedObject.name=nobody", []),
    ] as [(Kind, String, [String])])
  func fieldSelectors(_ kind: Kind, _ selector: String, _ names: [String]) throws {
    let harness = try APIHarness()
    harness.create(.jobs, Manifest.job("a", spec: ["suspend": true]))
    harness.create(.jobs, Manifest.job("b", spec: ["suspend": true]))
    harness.create(.pods, Manifest.pod("p"))
    harness.create(.configmaps, Manifest.configMap("m"))
    let answer = harness.list(kind) { $0.fieldSelector = selector }
    #expect(answer.code == 200)
    #expect(answer.itemNames == names)
  }

  @Test("a field that cannot be selected by is refused in Kubernetes' words")
  func unknownField() throws {
    let harness = try APIHarness()
    #expect(
      harness.list(.jobs) { $0.fieldSelector = "status.phase=Running" }.message
        == #"field label "status.phase" not supported for Job"#)
    #expect(harness.list(.pods) { $0.fieldSelector = "x=1" }.message == "field label not supported: x")
    #expect(
      harness.list(.configmaps) { $0.fieldSelector = "x=1" }.message
        == #""x" is not a known field selector: only "metadata.name", "metadata.namespace""#)
  }

  @Test("resourceVersion of a list: the past is gone, the future times out, rubbish is refused")
  func listVersions() throws {
    let harness = try filled(3)
    #expect(harness.list(.configmaps) { $0.resourceVersion = "0" }.items.count == 3)
    #expect(harness.list(.configmaps) { $0.resourceVersion = "999999" }.code == 504)
    #expect(harness.list(.configmaps) { $0.resourceVersion = "x" }.code == 400)
    let exact = harness.list(.configmaps) { options in
      options.resourceVersion = "1"
      options.resourceVersionMatch = "Exact"
    }
    #expect(exact.code == 410)
    #expect(exact.reason == "Expired")
  }

  @Test("all namespaces come in order of namespace and name")
  func allNamespaces() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("z"))
    harness.create(.configmaps, Manifest.configMap("a"), namespace: "kube-system")
    #expect(harness.list(.configmaps, namespace: "").itemNames == ["z", "a"])
    #expect(harness.list(.configmaps, namespace: "kube-system").itemNames == ["a"])
    #expect(harness.list(.configmaps, namespace: "nosuch").items.isEmpty)
  }

  @Test("lists of metadata carry metadata only")
  func metadataOnly() throws {
    let harness = try filled(2)
    let answer = harness.ask(APIRequest(verb: .list, kind: .configmaps, namespace: "default", form: .metadata))
    #expect(answer.object["kind"] == "PartialObjectMetadataList")
    #expect(answer.items.allSatisfy { $0["kind"] == "PartialObjectMetadata" && $0["data"] == nil })
  }
}

@Suite("watches") struct APIWatchTests {
  private func types(_ answer: RequestAnswer) -> [String] {
    answer.events.map { "\($0.type) \($0.object[path: ["metadata", "name"]]?.stringValue ?? "")" }
  }

  @Test("a watch from a version sees each later change once, in order")
  func fromVersion() throws {
    let harness = try APIHarness()
    harness.create(.configmaps, Manifest.configMap("before"))
    let version = harness.list(.configmaps).resourceVersion
    harness.create(.configmaps, Manifest.configMap("a"))
    let id = harness.watch(.configmaps) { $0.resourceVersion = version }
    harness.patch(.configmaps, "a", .merge, ["data": ["x": "y"]])
    harness.create(.pods, Manifest.pod("p"))
    harness.create(.configmaps, Manifest.configMap("elsewhere"), namespace: "kube-system")
    harness.delete(.configmaps, "a")
    let answer = harness.answer(id)
    #expect(types(answer) == ["ADDED a", "MODIFIED a", "DELETED a"])
    #expect(answer.code == nil)
    let versions = answer.events.compactMap {
      $0.object[path: ["metadata", "resourceVersion"]]?.stringValue.flatMap { Int64($0) }
    }
    #expect(versions == versions.sorted())
    #expect(Set(versions).count == 3)
  }

  @Test("a watch can go on from each event of another and see the rest", arguments: 0..<6)
  func resumption(_ seen: Int) throws {
    let harness = try APIHarness()
    let start = harness.list(.configmaps).resourceVersion
    let whole = harness.watch(.configmaps) { $0.resourceVersion = start }
    for index in 0..<3 { harness.create(.configmaps, Manifest.configMap("m\(index)")) }
    for index in 0..<3 { harness.delete(.configmaps, "m\(index)") }
    let events = types(harness.answer(whole))
    #expect(events.count == 6)
    let version = harness.answer(whole).events[seen].object[path: ["metadata", "resourceVersion"]]?.stringValue
    let rest = harness.watch(.configmaps) { $0.resourceVersion = version }
    #expect(types(harness.answer(rest)) == Array(events.dropFirst(seen + 1)))
  }

  @Test("an object that begins or ceases to match is ADDED or DELETED")
  func transitions() throws {
    let harness = try APIHarness()
    let start = harness.list(.configmaps).resourceVersion
    let id = harness.watch(.configmaps) { options in
      options.resourceVersion = start
      options.labelSelector = "x=1"
    }
    harness.create(.configmaps, Manifest.configMap("m"))
    harness.patch(.configmaps, "m", .merge, ["metadata": ["labels": ["x": "1"]]])
    harness.patch(.configmaps, "m", .merge, ["data": ["k": "v"]])
    harness.patch(.configmaps, "m", .merge, ["metadata": ["labels": ["x": "2"]]])
    harness.patch(.configmaps, "m", .merge, ["data": ["k": "w"]])
    harness.delete(.configmaps, "m")
    let answer = harness.answer(id)
    #expect(types(answer) == ["ADDED m", "MODIFIED m", "DELETED m"])
    // The leaving object is shown as it last matched, at the version of its leaving.
    #expect(answer.events[2].object[path: ["metadata", "labels", "x"]] == "1")
    let again = harness.watch(.configmaps) { options in
      options.resourceVersion = start
      options.labelSelector = "x=1"
    }
    #expect(types(harness.answer(again)) == types(answer))
  }

  @Test("a field selector watches transitions of the field")
  func fieldTransition() throws {
    let harness = try APIHarness()
    let start = harness.list(.pods).resourceVersion
    let id = harness.watch(.pods) { options in
      options.resourceVersion = start
      options.fieldSelector = "status.phase=Running"
    }
    harness.create(.pods, Manifest.pod("p"))
    harness.patch(.pods, "p", .merge, ["status": ["phase": "Running"]], subresource: "status")
    harness.patch(.pods, "p", .merge, ["status": ["phase": "Succeeded"]], subresource: "status")
    #expect(types(harness.answer(id)) == ["ADDED p", "DELETED p"])
  }

  @Test("without a version the watch begins with what there is; the closing bookmark says when that is over")
  func initialEvents() throws {
    let harness = try APIHarness()
    for index in 0..<700 { harness.create(.configmaps, Manifest.configMap("m\(index)")) }
    let id = harness.watch(.configmaps) { options in
      options.sendInitialEvents = true
      options.resourceVersionMatch = "NotOlderThan"
      options.allowWatchBookmarks = true
    }
    #expect(harness.answer(id).events.count < 700, "a long beginning takes several turns")
    harness.create(.configmaps, Manifest.configMap("late"))
    for _ in 0..<10 { harness.step([.timer]) }
    let answer = harness.answer(id)
    let names = answer.events.filter { $0.type == "ADDED" }.map { $0.object[path: ["metadata", "name"]] ?? .null }
    #expect(names.count == 701)
    #expect(Set(names).count == 701)
    let bookmarks = answer.events.filter { $0.type == "BOOKMARK" }
    #expect(bookmarks.count == 1)
    #expect(
      bookmarks.first?.object[path: ["metadata", "annotations", "k8s.io/initial-events-end"]]?.stringValue == "true")
    let plain = harness.watch(.configmaps)
    for _ in 0..<10 { harness.step([.timer]) }
    #expect(harness.answer(plain).events.count == 701)
    let now = harness.watch(.configmaps) { options in
      options.sendInitialEvents = false
      options.resourceVersionMatch = "NotOlderThan"
    }
    #expect(harness.answer(now).events.isEmpty)
  }

  @Test("what changes during a long beginning is shown in time: whoever goes on from any version has missed nothing")
  func changesDuringTheBeginning() throws {
    let harness = try APIHarness()
    for index in 100..<800 { harness.create(.configmaps, Manifest.configMap("m\(index)")) }
    let id = harness.watch(.configmaps) { options in
      options.sendInitialEvents = true
      options.resourceVersionMatch = "NotOlderThan"
      options.allowWatchBookmarks = true
    }
    #expect(harness.answer(id).events.count < 600)
    // Each is shown already, or will be, when it changes; all of it in one turn.
    func request(_ verb: APIVerb, _ name: String, _ body: JSON) -> APIRequest {
      var options = APIOptions()
      options.patchKind = verb == .patch ? .merge : nil
      return APIRequest(
        verb: verb, kind: .configmaps, namespace: "default", name: verb == .create ? "" : name, options: options,
        body: body)
    }
    let patched = ["m100", "m799", "m101", "m798", "m102"].map { request(.patch, $0, ["data": ["x": "y"]]) }
    let deleted = ["m103", "m797"].map { request(.delete, $0, [:]) }
    let created = ["aaa", "m500a", "zzz", "m797"].map { request(.create, $0, Manifest.configMap($0)) }
    harness.step((patched + deleted + created).enumerated().map { .request(RequestID(10_000 + $0), $1) })
    for _ in 0..<10 { harness.step([.timer]) }
    var versions: [String: Int64] = [:]
    var latest: Int64 = 0
    for (type, object) in harness.answer(id).events {
      let version = Int64(object[path: ["metadata", "resourceVersion"]]?.stringValue ?? "") ?? 0
      let name = object[path: ["metadata", "name"]]?.stringValue ?? ""
      switch type {
      case "ADDED": #expect(versions.updateValue(version, forKey: name) == nil, "\(name) is ADDED twice")
      case "BOOKMARK": #expect(version >= latest)
      case "DELETED": #expect(versions.removeValue(forKey: name) != nil && version > latest)
      default:
        #expect(version > latest, "\(name) comes after what is newer")
        #expect(versions.updateValue(version, forKey: name) != nil, "\(name) was never ADDED")
      }
      latest = max(latest, version)
    }
    #expect(harness.answer(id).events.last?.type == "BOOKMARK")
    #expect(latest == Int64(harness.list(.configmaps).resourceVersion))
    #expect(versions.keys.sorted() == harness.list(.configmaps).itemNames)
    #expect(versions["m797"] == versions.values.max())
  }

  @Test("a version before the history is 410 Expired; the history is bounded")
  func expired() throws {
    let harness = try APIHarness { $0.watchHistoryLimit = 24 }
    for index in 0..<30 { harness.create(.configmaps, Manifest.configMap("m\(index)")) }
    let id = harness.watch(.configmaps) { $0.resourceVersion = "1" }
    let answer = harness.answer(id)
    #expect(answer.code == 200)
    #expect(answer.events.count == 1)
    #expect(answer.events.first?.type == "ERROR")
    let status = answer.events.first?.object ?? .null
    #expect(status["code"] == 410)
    #expect(status["reason"] == "Expired")
    // The namespaces, their ServiceAccounts, the built-in bindings and the priority classes keep their places, the
    // built-in roles half of the ten others.
    let oldest = harness.core.state.resourceVersion - 5
    #expect(status["message"]?.stringValue == "too old resource version: 1 (\(oldest))")
    let held = harness.watch(.configmaps) { $0.resourceVersion = String(oldest) }
    #expect(harness.answer(held).events.count == 5)
    #expect(harness.answer(harness.watch(.namespaces) { $0.resourceVersion = "1" }).events.count == 4)
    #expect(harness.answer(held).code == nil)
    #expect(harness.ask(watchRequest("x")).code == 400)
    #expect(harness.ask(watchRequest("999999")).code == 504)
  }

  private func watchRequest(_ version: String) -> APIRequest {
    var options = APIOptions()
    options.resourceVersion = version
    return APIRequest(verb: .watch, kind: .configmaps, namespace: "default", options: options)
  }

  @Test("timeoutSeconds ends a watch, bookmarks come each minute, a cancelled watch costs nothing more")
  func timers() throws {
    let harness = try APIHarness()
    let version = harness.list(.configmaps).resourceVersion
    let short = harness.watch(.configmaps) { options in
      options.resourceVersion = version
      options.timeoutSeconds = 5
    }
    let marked = harness.watch(.configmaps) { options in
      options.resourceVersion = version
      options.allowWatchBookmarks = true
    }
    let gone = harness.watch(.configmaps) { $0.resourceVersion = version }
    harness.step([.requestCancelled(gone)])
    harness.wait(milliseconds: 4_999)
    #expect(harness.answer(short).code == nil)
    harness.wait(milliseconds: 1)
    #expect(harness.answer(short).code == 200)
    harness.wait(milliseconds: 60_000)
    harness.wait(milliseconds: 60_000)
    #expect(harness.answer(marked).events.filter { $0.type == "BOOKMARK" }.count == 2)
    harness.create(.configmaps, Manifest.configMap("m"))
    #expect(harness.answer(gone).events.isEmpty)
    #expect(harness.answer(short).events.isEmpty)
    #expect(harness.answer(marked).events.last?.type == "ADDED")
  }

  @Test("a change reaches the watches of its kind, namespace and name only")
  func index() throws {
    let harness = try APIHarness()
    let version = harness.list(.configmaps).resourceVersion
    let all = harness.watch(.configmaps, namespace: "") { $0.resourceVersion = version }
    let named = harness.watch(.configmaps) { options in
      options.resourceVersion = version
      options.fieldSelector = "metadata.name=a"
    }
    let other = harness.watch(.configmaps, namespace: "kube-system") { $0.resourceVersion = version }
    let secrets = harness.watch(.secrets) { $0.resourceVersion = version }
    harness.create(.configmaps, Manifest.configMap("a"))
    harness.create(.configmaps, Manifest.configMap("b"))
    #expect(types(harness.answer(all)) == ["ADDED a", "ADDED b"])
    #expect(types(harness.answer(named)) == ["ADDED a"])
    #expect(harness.answer(other).events.isEmpty)
    #expect(harness.answer(secrets).events.isEmpty)
    let reference = ObjectReference(kind: .configmaps, key: ObjectKey(namespace: "default", name: "b"))
    #expect(harness.core.api.watches.concerned(by: reference) == [all])
  }

  @Test("Table events carry the columns once and a row each")
  func tableEvents() throws {
    let harness = try APIHarness()
    let version = harness.list(.configmaps).resourceVersion
    let id = harness.watch(.configmaps, form: .table) { $0.resourceVersion = version }
    harness.create(.configmaps, Manifest.configMap("a"))
    harness.delete(.configmaps, "a")
    let events = harness.answer(id).events
    #expect(events.map(\.type) == ["ADDED", "DELETED"])
    #expect(events.map { $0.object["kind"] } == ["Table", "Table"])
    #expect(events.map { $0.object["columnDefinitions"]?.arrayValue?.count } == [3, nil])
    #expect(events.last?.object["columnDefinitions"] == .null)
    #expect(events.allSatisfy { $0.object["rows"]?.arrayValue?.count == 1 })
  }
}
