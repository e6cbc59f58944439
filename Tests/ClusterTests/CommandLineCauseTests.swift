// Whoever waits is told why: the causes that wait, logs and describe name, and what is wrong with a kubeconfig.

import ClusterIO
import ClusterProto
import Testing

@testable import stint

@Suite("Who waits is told why")
struct CommandLineCauseTests {
  private let job: JSON = [
    "kind": "Job", "metadata": ["name": "q", "namespace": "default", "uid": "u"],
    "spec": ["selector": ["matchLabels": ["job-name": "q"]]], "status": [:],
  ]

  private func pod(_ name: String, phase: String, node: String? = "n", _ status: JSON = [:]) -> JSON {
    var pod: JSON = [
      "kind": "Pod", "metadata": ["name": .string(name), "namespace": "default"],
      "spec": ["containers": [["name": "main"]]], "status": status,
    ]
    pod[path: ["status", "phase"]] = .string(phase)
    if let node { pod[path: ["spec", "nodeName"]] = .string(node) }
    return pod
  }

  private func misspelt(_ name: String) -> JSON {
    let end: JSON = [
      "exitCode": 127, "reason": "ContainerCannotRun", "message": "exec: \"ehco\": executable file not found in $PATH",
    ]
    return pod(
      name, phase: "Failed", ["containerStatuses": [["name": "main", "state": ["terminated": end]]]])
  }

  private var unscheduled: JSON {
    let condition: JSON = [
      "type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: 3 Insufficient cpu.",
    ]
    return pod("q-1", phase: "Pending", node: nil, ["conditions": [condition]])
  }

  private func run(_ line: [String], job: JSON? = nil, pods: [JSON]) -> (status: Int32, fake: FakeCluster) {
    let fake = FakeCluster()
    let job = job ?? self.job
    let status = fake.run(line) { request in
      let list: JSON = ["metadata": ["resourceVersion": "7"]]
      switch (request.verb, request.kind) {
      case (.watch, _): return []
      case (.log, _): return [.done(code: 200, object: .null, warnings: [])]
      case (.get, .jobs): return [.done(code: 200, object: job, warnings: [])]
      case (.list, .jobs): return [.items([job]), .done(code: 200, object: list, warnings: [])]
      case (.list, .pods): return [.items(pods), .done(code: 200, object: list, warnings: [])]
      default: return [.items([]), .done(code: 200, object: list, warnings: [])]
      }
    }
    return (status, fake)
  }

  @Test("a wait whose time is up names the cause, once for all pods that share it")
  func wait() {
    let timedOut = "error: timed out waiting for the condition on jobs/q\n"
    var (status, fake) = run(["wait", "job/q", "--timeout=1h"], pods: [unscheduled])
    #expect(status == 124)
    #expect(fake.err == timedOut + "  pod/q-1: it has no node yet: 0/3 nodes are available: 3 Insufficient cpu.\n")
    (status, fake) = run(["wait", "job/q", "--timeout=1h"], pods: [misspelt("q-1"), misspelt("q-2")])
    #expect(
      fake.err == timedOut + "  pod/q-1 (and 1 more): container main: ContainerCannotRun: exec: \"ehco\": "
        + "executable file not found in $PATH\n")
    var suspended = job
    suspended[path: ["spec", "suspend"]] = true
    (status, fake) = run(["wait", "job/q", "--timeout=1h"], job: suspended, pods: [])
    #expect(status == 124)
    #expect(fake.err == timedOut + "  job/q: it is suspended\n")
  }

  @Test("logs and describe of a Job whose command is misspelt say so")
  func misspeltCommand() {
    var (status, fake) = run(["logs", "job/q"], pods: [misspelt("q-1")])
    #expect(status == 0)
    #expect(
      fake.err == "pod/q-1: container main did not start: ContainerCannotRun: exec: \"ehco\": "
        + "executable file not found in $PATH\n")
    (status, fake) = run(["describe", "job/q"], pods: [misspelt("q-1"), misspelt("q-2"), unscheduled])
    #expect(status == 0)
    #expect(fake.out.contains("Pod Problems:\n  pod/q-1 (and 1 more): container main: ContainerCannotRun: exec:"))
    #expect(fake.out.contains("\n  pod/q-1: it has no node yet: 0/3 nodes"))
  }

  @Test("causes: a failed start behind a restart, a missing Secret, an exit code; none of what runs or is on its way")
  func causes() {
    func cause(_ phase: String, _ container: JSON) -> String? {
      Causes.ofPod(pod("p", phase: phase, ["containerStatuses": [container]]))
    }
    let crashing: JSON = [
      "name": "main", "state": ["waiting": ["reason": "CrashLoopBackOff", "message": "back-off 10s"]],
      "lastState": ["terminated": ["reason": "StartError", "exitCode": 128, "message": "no such\u{1b}[2J directory"]],
    ]
    #expect(cause("Running", crashing) == "container main: CrashLoopBackOff: StartError: no such^[[2J directory")
    let missing: JSON = [
      "name": "main",
      "state": ["waiting": ["reason": "CreateContainerConfigError", "message": "secret \"s\" not found"]],
    ]
    #expect(cause("Pending", missing) == "container main: CreateContainerConfigError: secret \"s\" not found")
    let failed: JSON = ["name": "main", "state": ["terminated": ["reason": "Error", "exitCode": 3]]]
    #expect(cause("Failed", failed) == "container main: Error, exit code 3")
    #expect(cause("Pending", ["name": "main", "state": ["waiting": ["reason": "ContainerCreating"]]]) == nil)
    #expect(
      cause("Running", ["name": "main", "state": ["running": [:]], "lastState": failed["state"] ?? .null]) == nil)
  }

  @Test("a kubeconfig that is missing or says too little is told at once, even to who waits for ever")
  func kubeconfigFile() throws {
    let directory = "/tmp/stint-kubeconfig-\(Hexadecimal.text(try Crypto.randomBytes(5)))"
    try Files.makeDirectory(directory)
    defer { try? Files.removeTree(directory) }
    func message(_ text: String?) throws -> String {
      if let text { try Files.writeAtomically("\(directory)/config", Array(text.utf8)) }
      var error = ""
      let console = Console(out: { _ in }, err: { error += $0 })
      // Even who waits for ever.
      let line = ["wait", "job/x", "-s", "127.0.0.1:1", "--kubeconfig", "\(directory)/config"]
      #expect(Stint.run(line, environment: [:], console: console) == 1)
      return error
    }
    #expect(
      try message(nil)
        == "error: there is no kubeconfig \(directory)/config, though --kubeconfig names it: start a cluster with "
        + "`stint up`, or name the file with "
        + "--kubeconfig or KUBECONFIG\n")
    let whole = """
      current-context: x
      contexts: [{name: x, context: {cluster: c, user: u}}]
      clusters: [{name: c, cluster: {certificate-authority-data: "AAAA"}}]
      users: [{name: u, user: {client-certificate-data: "AAAA", client-key: none.pem}}]
      """
    #expect(
      try message(whole)
        == "error: the kubeconfig \(directory)/config: user \"u\": client-key \(directory)/none.pem: No such file or "
        + "directory\n")
  }

  @Test(
    "every word for an error is red, behind Init: too",
    arguments: [
      "ContainerCannotRun", "StartError", "ContainerStatusUnknown", "Init:Error", "Init:ContainerCannotRun",
      "ExitCode:3",
      "FailedCreatePodSandBox", "DeadlineExceeded",
    ])
  func colours(word: String) { #expect(Colour.status(word) == "\u{1b}[31m\(word)\u{1b}[0m") }
}
