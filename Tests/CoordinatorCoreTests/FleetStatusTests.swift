// What people read of nodes and of pods that do not start: the Lease of a node, kubelet's Events.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Fleet: Leases and pods' Events") struct FleetStatusTests {
  private func lease(_ harness: inout FleetHarness, _ name: String) -> JSON {
    harness.effects = []
    harness.step([
      .request(9, APIRequest(verb: .get, kind: .leases, namespace: "kube-node-lease", name: name))
    ])
    for case .shown(9, .done(_, let object, _), _) in harness.effects { return object }
    return .null
  }

  private func stored(_ harness: FleetHarness, _ name: String) -> GenericObject? {
    harness.core.state.other(.leases, ObjectKey(namespace: "kube-node-lease", name: name))
  }

  @Test("a node's Lease names it and its last heartbeat; heartbeats write nothing")
  func lease() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    let first = lease(&harness, "a")
    #expect(first[path: ["spec", "holderIdentity"]] == "a")
    #expect(first[path: ["spec", "leaseDurationSeconds"]] == 5)
    #expect(first[path: ["spec", "renewTime"]]?.stringValue == harness.now.wall.rfc3339Micro)
    #expect(first[path: ["metadata", "ownerReferences"]]?[0]?["uid"]?.stringValue == harness.node("a")?.meta.uid)
    let version = stored(harness, "a")?.meta.resourceVersion
    harness.effects = []
    harness.pass(60_000, beating: ["a"])
    #expect(!harness.effects.contains { if case .persist = $0 { true } else { false } })
    #expect(stored(harness, "a")?.meta.resourceVersion == version)
    #expect(lease(&harness, "a")[path: ["spec", "renewTime"]]?.stringValue == harness.now.wall.rfc3339Micro)
    harness.effects = []
    harness.step([.request(10, APIRequest(verb: .list, kind: .leases, namespace: "kube-node-lease"))])
    var listed: [JSON] = []
    for case .reply(10, .items(let items)) in harness.effects { listed += items }
    #expect(listed.map { $0[path: ["spec", "renewTime"]]?.stringValue } == [harness.now.wall.rfc3339Micro])
  }

  @Test("a node's Lease that somebody deleted is there again with the next heartbeat, also after its namespace")
  func deleted() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    for request in [
      APIRequest(verb: .delete, kind: .leases, namespace: "kube-node-lease", name: "a"),
      APIRequest(verb: .delete, kind: .namespaces, name: "kube-node-lease"),
    ] {
      #expect(stored(harness, "a") != nil)
      harness.step([.request(11, request)])
      harness.step([.timer])
      #expect(stored(harness, "a") == nil)
      harness.pass(2_000, beating: ["a"])
      #expect(stored(harness, "a") != nil, "\(request.kind)")
    }
  }

  @Test("the Lease of a lost node keeps the time of its last heartbeat, and goes with its Node")
  func lost() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.pass(10_000, beating: ["a"])
    let last = harness.now.wall.rfc3339Micro
    harness.pass(30_000)
    #expect(harness.node("a")?.isReady == false)
    #expect(lease(&harness, "a")[path: ["spec", "renewTime"]]?.stringValue == last)
    try harness.restart()
    #expect(lease(&harness, "a")[path: ["spec", "renewTime"]]?.stringValue == last)
    harness.step([.request(3, APIRequest(verb: .delete, kind: .nodes, name: "a"))])
    harness.step([.timer])
    #expect(harness.node("a") == nil)
    #expect(stored(harness, "a") == nil)
  }

  @Test("what an agent reports is cut to kubelet's bounds, at a character, and to the pod's own containers")
  func bounds() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("p")
    let spec = try #require(harness.pod("p")?.spec)
    let own = try #require(spec.containers.first?.name)
    let long = "x" + String(repeating: "é", count: 450_000)
    let end = ContainerState.Termination(
      exitCode: 1, reason: long, message: long, startedAt: WallTime(nanoseconds: 0),
      finishedAt: WallTime(nanoseconds: 0))
    var status = PodStatus()
    status.phase = .failed
    (status.reason, status.message, status.hostIP, status.podIP, status.nominatedNodeName) = (
      long, long, long, "1.2.3.4", long
    )
    status.conditions = (0..<1_000).map {
      Condition(
        type: "\($0)\(long)", status: long, reason: long, message: long, lastTransition: WallTime(nanoseconds: 0))
    }
    status.containers =
      [ContainerStatus(name: own, image: long, state: .terminated(end), lastTermination: end)]
      + (0..<20_000).map { ContainerStatus(name: $0 == 0 ? own : "c\($0)", image: long, state: .terminated(end)) }
    status.initContainers = [ContainerStatus(name: long, image: long, state: .waiting(reason: long, message: long))]
    harness.step([.agent("session-a", .reports([AttemptReport(attempt: 1, revision: 1, status: status)]))])
    let kept = try #require(harness.pod("p")?.status)
    #expect(kept.phase == .failed)
    #expect(kept.reason.utf8.count == 1_023 && kept.message.utf8.count == 4_095)
    #expect(kept.reason == "x" + String(repeating: "é", count: 511))
    #expect(kept.hostIP == "127.0.0.1" && kept.podIP == "1.2.3.4")
    #expect(kept.containers.map(\.name) == [own] && kept.initContainers == [])
    #expect(kept.containers.first?.state.termination?.message.utf8.count == 4_095)
    #expect(kept.json.bytes.count < 256 * 1_024)
    let events = harness.core.state.count(of: .events)
    #expect(events < 4)
  }

  private func report(
    _ harness: inout FleetHarness, _ pod: String, revision: Int64, _ state: ContainerState, reason: String = ""
  ) throws {
    var status = PodStatus()
    status.reason = reason
    status.message = reason.isEmpty ? "" : "why"
    status.phase = reason.isEmpty ? .pending : .failed
    status.containers = [
      ContainerStatus(name: "c", image: "none", state: state), ContainerStatus(name: "d", image: "none", state: state),
    ]
    let number = try #require(harness.attempt(of: pod))
    harness.step([.agent("session-a", .reports([AttemptReport(attempt: number, revision: revision, status: status)]))])
  }

  @Test("what keeps a pod from running is an Event in kubelet's words, once a change")
  func problems() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    harness.addPod("p", extra: [("containers", [["name": "c", "image": "none"], ["name": "d", "image": "none"]])])
    try report(&harness, "p", revision: 1, .waiting(reason: "ContainerCreating", message: ""))
    #expect(harness.events("FailedMount") == [])
    let mount = "MountVolume.SetUp failed for volume \"v\" : secret \"s\" not found"
    for revision in 2...3 {
      try report(&harness, "p", revision: Int64(revision), .waiting(reason: "ContainerCreating", message: mount))
    }
    #expect(harness.events("FailedMount") == [mount])
    let config = "secret \"s\" not found"
    try report(&harness, "p", revision: 4, .waiting(reason: "CreateContainerConfigError", message: config))
    // The second container's is the same sentence: a count.
    #expect(harness.events("Failed") == ["Error: \(config)"])
    try report(&harness, "p", revision: 5, .waiting(reason: "CrashLoopBackOff", message: "back-off 10s"))
    let uid = try #require(harness.pod("p")?.meta.uid)
    #expect(
      harness.events("BackOff").sorted() == [
        "Back-off restarting failed container c in pod p_default(\(uid))",
        "Back-off restarting failed container d in pod p_default(\(uid))",
      ])
    let key = try #require(
      harness.core.state.keys(of: .events).first {
        harness.core.state.other(.events, $0)?.body["reason"] == "Failed"
      })
    let event = JSON.object(try #require(harness.core.state.other(.events, key)).body)
    #expect(event[path: ["source", "component"]] == "kubelet" && event[path: ["source", "host"]] == "a")
    #expect(event[path: ["involvedObject", "fieldPath"]] == "spec.containers{c}")
    #expect(event["type"] == "Warning" && event["count"] == 2)
  }

  @Test("a command that cannot run and a sandbox that cannot be made are told; an ordinary end is not")
  func ends() throws {
    var harness = try FleetHarness()
    harness.join(FakeAgent("a"))
    for name in ["p", "q", "r"] { harness.addPod(name) }
    func end(_ reason: String) -> ContainerState {
      .terminated(
        ContainerState.Termination(
          exitCode: 1, reason: reason, message: "exec: \"x\"", startedAt: harness.now.wall, finishedAt: harness.now.wall
        ))
    }
    try report(&harness, "p", revision: 1, end("Error"))
    #expect(harness.events("Failed") == [])
    try report(&harness, "q", revision: 1, end("ContainerCannotRun"))
    #expect(harness.events("Failed") == ["Error: exec: \"x\""])
    try report(&harness, "r", revision: 1, end("Error"), reason: "FailedCreatePodSandBox")
    #expect(harness.events("FailedCreatePodSandBox") == ["why"])
  }
}
