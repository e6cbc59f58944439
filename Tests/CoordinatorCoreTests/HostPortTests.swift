// Ports of the node that pods want for themselves alone: who goes beside whom, and what is said of it.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("host ports") struct HostPortTests {
  private func ports(_ ports: JSON...) -> (String, JSON) {
    ("containers", [["name": "c", "command": ["true"], "ports": .array(ports)]])
  }

  private func port(_ number: Int64, _ transport: String = "TCP", at address: String? = nil) -> JSON {
    var json: JSON = ["containerPort": 80, "hostPort": .int(number), "protocol": .string(transport)]
    if let address { json["hostIP"] = .string(address) }
    return json
  }

  private func message(_ harness: FleetHarness, _ pod: String) -> String {
    harness.pod(pod)?.status.condition("PodScheduled")?.message ?? ""
  }

  private let text = "node(s) didn't have free ports for the requested pod ports"

  @Test("validates that there is no conflict between pods with same hostPort but different hostIP and protocol")
  func beside() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("pod1", extra: [ports(port(54_323, at: "127.0.0.1"))])
    harness.addPod("pod2", extra: [ports(port(54_323, at: "10.0.0.1"))])
    harness.addPod("pod3", extra: [ports(port(54_323, "UDP", at: "10.0.0.1"))])
    for name in ["pod1", "pod2", "pod3"] { #expect(harness.pod(name)?.nodeName == "a", "\(message(harness, name))") }
    #expect(harness.problems() == [])
  }

  @Test(
    "validates that there exists conflict between pods with same hostPort and protocol but one using 0.0.0.0 hostIP",
    arguments: [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", nil), (nil, "0.0.0.0"), ("::1", "::1")] as [(String?, String?)])
  func conflict(first: String?, second: String?) throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("pod4", extra: [ports(port(54_322, at: first))])
    harness.addPod("pod5", extra: [ports(port(54_322, at: second))])
    #expect(harness.pod("pod4")?.nodeName == "a" && harness.pod("pod5")?.nodeName == nil)
    #expect(
      message(harness, "pod5") == "0/1 nodes are available: 1 \(text). preemption: 0/1 nodes are available: "
        + "1 No preemption victims found for incoming pod.")
    try harness.restart()
    harness.reconnect("a", session: "again")
    #expect(harness.pod("pod5")?.nodeName == nil, "the port is taken over a restart")
    harness.report("a", try #require(harness.attempt(of: "pod4")), revision: 1, .succeeded)
    #expect(harness.pod("pod5")?.nodeName == "a")
    #expect(harness.problems() == [])
  }

  @Test("pods of a Job that want one port run on different nodes, and the one too many waits; others are not kept off")
  func job() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    let container: JSON = ["name": "main", "image": "x", "command": ["true"], "ports": [port(8_080)]]
    let job = Manifest.job("j", spec: ["parallelism": 3, "completions": 3], pod: ["containers": [container]])
    harness.step([.request(900, APIRequest(verb: .create, kind: .jobs, namespace: "default", body: job))])
    let nodes = harness.core.state.keys(of: .pods).compactMap { harness.core.state.pods[$0]?.nodeName }
    #expect(nodes.sorted() == ["a", "b"])
    harness.addPod("plain", extra: [("containers", [["name": "c", "ports": [["containerPort": 8_080]]]])])
    #expect(harness.pod("plain")?.nodeName != nil, "a port of the container alone is nobody's")
  }

  @Test("a pod of the node's network wants the ports that its containers listen on, its sidecars' too")
  func hostNetwork() throws {
    var harness = try FleetHarness.joined(["a"])
    let own: JSON = [["name": "c", "ports": [["containerPort": 9_000]]]]
    harness.addPod("first", extra: [("hostNetwork", true), ("containers", own)])
    harness.addPod("second", extra: [ports(port(9_000))])
    #expect(harness.pod("second")?.nodeName == nil)
    let sidecar: JSON = [["name": "s", "restartPolicy": "Always", "ports": [port(9_001)]]]
    harness.addPod("third", extra: [("initContainers", sidecar)])
    harness.addPod("fourth", extra: [ports(port(9_001, at: "127.0.0.1"))])
    #expect(harness.pod("third")?.nodeName == "a" && harness.pod("fourth")?.nodeName == nil)
  }

  @Test("no resource of a user's passes for a port, by name or in a manifest")
  func names() throws {
    for name in ["hostport/gpu", "hostport", "example.com/hostport", "cpu"] { #expect(HostPort.capacity(name) == nil) }
    let harness = try APIHarness()
    let requests: JSON = ["requests": ["hostport/TCP/80": "1"], "limits": ["hostport/TCP/80": "1"]]
    let spec: JSON = ["containers": [["name": "c", "image": "x", "command": ["true"], "resources": requests]]]
    let answer = harness.create(.pods, Manifest.pod("p", spec: spec))
    #expect(answer.code == 422, "\(answer.message)")
  }

  @Test("who has the port goes for one of higher priority, and nobody beside")
  func preempted() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("beside", extra: [("priority", 0)])
    harness.addPod("holder", extra: [("priority", 0), ports(port(80))])
    harness.addPod("high", extra: [("priority", 9), ports(port(80, at: "127.0.0.1"))])
    #expect(harness.pod("holder")?.meta.deletionTimestamp != nil)
    #expect(harness.pod("beside")?.meta.deletionTimestamp == nil)
    harness.addPod("late", extra: [("priority", 5), ports(port(80))])
    harness.report("a", try #require(harness.attempt(of: "holder")), revision: 1, .failed)
    #expect(harness.pod("high")?.nodeName == "a" && harness.pod("late")?.nodeName == nil)
  }

  @Test("a pod that names its node fails there as under Kubernetes when its port is taken")
  func named() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.addPod("holder", extra: [ports(port(80))])
    let spec: JSON = [
      "nodeName": "a", "containers": [["name": "c", "image": "x:1", "command": ["true"], "ports": [port(80)]]],
    ]
    let body: JSON = ["metadata": ["name": "named"], "spec": spec]
    harness.step([.request(901, APIRequest(verb: .create, kind: .pods, namespace: "default", body: body))])
    let status = try #require(harness.pod("named")?.status)
    #expect(status.phase == .failed && status.reason == "NodePorts")
    #expect(status.message == "Pod was rejected: Predicate NodePorts failed: \(text)")
  }
}
