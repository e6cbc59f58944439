// `stint doctor`: what follows from a machine and from a cluster as they were found, how it is printed, and the command
// on a real cluster.

import AgentCore
import ClusterIO
import ClusterProto
import Glibc
import NodeAgent
import Testing

@testable import stint

@Suite("The doctor")
struct DoctorTests {
  private static let now = WallTime(rfc3339: "2026-12-01T01:00:00Z") ?? .earliest
  private static let day: Int64 = 86_400

  private static func survey(_ change: (inout MachineSurvey) -> Void = { _ in }) -> MachineSurvey {
    var limits = LimitAbilities()
    (limits.version, limits.cpu, limits.memory, limits.pids) = (2, true, true, true)
    var survey = MachineSurvey()
    survey.isRoot = true
    survey.trial = MachineTrial(
      isolates: true, isolation: "PID and mount namespaces by clone", limits: limits, freezeProblem: "")
    survey.clock = (true, 12)
    survey.files = 65_536
    survey.programs = ["bwrap", "skopeo"]
    var place = MachineSurvey.Place(path: "/d", use: .agent)
    place.room = (50 << 30, 100 << 30)
    place.inodes = (900_000, 1_000_000)
    place.holder = 7
    place.ends = [("its certificate", now.seconds + 60 * day, true)]
    survey.places = [place]
    change(&survey)
    return survey
  }

  private static func bad(_ findings: [Diagnosis]) -> [String] {
    findings.filter { $0.level != .ok }.map { "\($0.level.rawValue) \($0.subject): \($0.text)" }
  }

  private static func machine(_ change: (inout MachineSurvey) -> Void) -> [String] {
    bad(MachineChecks.all(survey(change), now: now))
  }

  @Test("a machine with nothing wrong has a line for each thing, and nothing to do")
  func sound() {
    let findings = MachineChecks.all(Self.survey(), now: Self.now)
    #expect(Self.bad(findings) == [] && findings.allSatisfy { $0.advice.isEmpty })
    #expect(
      findings.map(\.subject) == [
        "stint", "isolation", "cgroups", "clock", "skopeo", "open files", "agent", "disk", "certificates",
      ])
  }

  @Test("what a machine lacks is told, and what is needed only with or without root is asked only there")
  func lacks() {
    #expect(Self.machine { $0.trial?.isolates = false } == ["problem isolation: PID and mount namespaces by clone"])
    #expect(
      Self.machine { survey in
        survey.trial = nil
        survey.trialProblem = "no memory"
      } == ["problem isolation: no memory"])
    #expect(Self.machine { $0.clock = (false, 0) }.first?.hasPrefix("warning clock: nobody keeps it right") == true)
    #expect(Self.machine { $0.clock = nil } == ["skipped clock: the kernel does not say whether it is kept right"])
    #expect(Self.machine { $0.files = 1_024 }.first?.hasPrefix("warning open files: a process may have 1024") == true)
    #expect(Self.machine { $0.programs = ["bwrap"] }.first?.hasPrefix("warning skopeo: is not in PATH") == true)
    #expect(Self.machine { $0.programs = ["skopeo"] } == [])
    let user = Self.machine { survey in
      (survey.isRoot, survey.programs) = (false, [])
      survey.trial?.limits = LimitAbilities()
    }
    #expect(user.map { $0.split(separator: ":")[0] } == ["warning cgroups", "warning bwrap"])
    #expect(
      Self.machine { $0.trial?.limits.cpu = false } == [
        "warning cgroups: memory, pids by cgroup v2; not enforced: cpu: "
      ])
    #expect(Self.machine { $0.trial?.freezeProblem = "no v2" }.first?.contains("SIGSTOP") == true)
    #expect(Self.machine { $0.places = [] }.first?.hasPrefix("skipped data") == true)
  }

  @Test("a namespace limit of 0 is named to a user, who cannot see it otherwise")
  func namespaces() {
    let findings = MachineChecks.all(
      Self.survey { survey in
        (survey.isRoot, survey.userNamespaces) = (false, 0)
        survey.trial?.isolates = false
      }, now: Self.now)
    #expect(findings.contains { $0.level == .problem && $0.advice.contains("user.max_user_namespaces") })
  }

  @Test("disks, directories and certificates are judged by what an agent needs")
  func places() {
    func told(_ change: @escaping (inout MachineSurvey.Place) -> Void) -> [String] {
      Self.machine { change(&$0.places[0]) }
    }
    #expect(told { $0.room = (4 << 30, 100 << 30) } == ["problem disk: 4.0Gi of 100Gi free for /d"])
    #expect(told { $0.room = (6 << 30, 100 << 30) } == ["warning disk: 6.0Gi of 100Gi free for /d"])
    #expect(told { $0.room = (3 << 30, 10 << 30) } == [])
    #expect(told { $0.inodes = (10, 1_000_000) } == ["problem disk: 10 of 1000000 inodes free for /d"])
    // A file system that makes inodes as it needs them.
    #expect(told { $0.inodes = (0, 0) } == [])
    #expect(told { $0.room = nil } == ["skipped disk: of /d: it does not say"])
    #expect(told { $0.holder = nil } == ["warning agent: none runs on /d"])
    #expect(told { $0.trouble = ("was killed", "wait") } == ["problem agent: process 7 of /d was killed"])
    #expect(told { $0.exposure = "others may look" } == ["warning agent: others may look"])
    #expect(told { $0.unreadable = "denied" } == ["warning certificates: denied"])
    #expect(told { ($0.unreadable, $0.holder) = ("denied", nil) } == ["skipped agent: denied"])
    #expect(
      told { $0.ends = [("its certificate", Self.now.seconds + 2 * Self.day, true)] } == [
        "warning certificates: its certificate of /d ends in 2d, at 2026-12-03T01:00:00Z"
      ])
    #expect(told { $0.ends = [("its certificate", Self.now.seconds + 4 * Self.day, true)] } == [])
    #expect(
      told { $0.ends = [("the authority", Self.now.seconds + 13 * Self.day, false)] }.first?.contains("ends in 13d")
        == true)
    #expect(
      told { $0.ends = [("the authority", Self.now.seconds, false)] } == [
        "problem certificates: the authority of /d ended at 2026-12-01T01:00:00Z"
      ])
    #expect(told { $0.ends = [("the authority", Int64.max, false), ("it", Int64.min, false)] }.count == 1)
  }

  // The cluster.

  private static func node(_ name: String, ready: String = "True", version: String = Version.current) -> JSON {
    [
      "metadata": ["name": .string(name)], "spec": [:],
      "status": [
        "nodeInfo": ["kubeletVersion": .string(version)],
        "conditions": [
          [
            "type": "Ready", "status": .string(ready), "reason": "NodeStatusUnknown", "message": "stopped posting",
            "lastTransitionTime": "2026-12-01T00:55:00Z",
          ]
        ],
      ],
    ]
  }

  private static func pod(
    _ name: String, _ phase: String, node: String = "", deleted: String? = nil, reason: String = "Unschedulable",
    created: String = "2026-12-01T00:50:00Z"
  ) -> JSON {
    var pod: JSON = [
      "metadata": ["name": .string(name), "creationTimestamp": .string(created)], "spec": [:],
      "status": [
        "phase": .string(phase),
        "conditions": [
          ["type": "PodScheduled", "status": "False", "reason": .string(reason), "message": "0/3 nodes fit"]
        ],
      ],
    ]
    if let deleted { pod[path: ["metadata", "deletionTimestamp"]] = .string(deleted) }
    if !node.isEmpty { pod[path: ["spec", "nodeName"]] = .string(node) }
    return pod
  }

  private static func cluster(_ change: (inout ClusterSurvey) -> Void = { _ in }) -> [Diagnosis] {
    var survey = ClusterSurvey()
    survey.hello = .value(ClusterSurvey.Hello(program: Version.current, cluster: "c", incarnation: 3))
    survey.ready = .value(ReadyAnswer(code: 200, body: "ok", date: now))
    survey.asked = now
    survey.ends = [("your certificate", now.seconds + 80 * day)]
    survey.nodes = .value([node("a"), node("b")])
    survey.pods = .value([pod("p", "Running", node: "a")])
    survey.now = now
    change(&survey)
    return ClusterChecks.all(survey)
  }

  @Test("a cluster with nothing wrong has only good lines")
  func soundCluster() {
    let findings = Self.cluster()
    #expect(Self.bad(findings) == [])
    #expect(findings.contains(.ok("nodes", "2 of 2 Ready")))
  }

  @Test("a coordinator that is away is one problem, and nothing is said of what it would know")
  func away() {
    let findings = Self.cluster { survey in
      survey.hello = .refused("cannot reach the coordinator")
      survey.ready = .refused("refused")
    }
    #expect(
      Self.bad(findings) == [
        "problem coordinator: cannot reach the coordinator", "problem API: /readyz does not answer: refused",
      ])
  }

  @Test("clocks that differ by whole seconds are told of, those of one second's rounding are not")
  func clocks() {
    func told(_ seconds: Int64) -> [String] {
      Self.bad(
        Self.cluster { survey in
          survey.ready = .value(
            ReadyAnswer(code: 200, body: "ok", date: Self.now.adding(milliseconds: -seconds * 1_000)))
        })
    }
    #expect(told(1) == [] && told(-4) == [])
    #expect(told(10) == ["warning clocks: this machine is 10s ahead of the coordinator"])
    #expect(told(-7_200) == ["problem clocks: this machine is 120m behind the coordinator"])
    #expect(Self.bad(Self.cluster { $0.ready = .value(ReadyAnswer(code: 500, body: "no", date: nil)) }).count == 1)
  }

  @Test("a node that is away, short, cordoned or of another version is named with what to do")
  func nodes() {
    var pressed = Self.node("b")
    pressed[path: ["spec", "unschedulable"]] = true
    pressed[path: ["status", "conditions"]] = .array(
      (pressed[path: ["status", "conditions"]]?.arrayValue ?? []) + [
        ["type": "DiskPressure", "status": "True", "message": "disk"],
        ["type": "LimitsEnforced", "status": "False", "message": "no root"],
        ["type": "KeeperImpaired", "status": "True", "message": "no cgroup"],
      ])
    let findings = Self.cluster {
      $0.nodes = .value([Self.node("a", ready: "Unknown"), pressed, Self.node("c", version: "9")])
    }
    #expect(
      Self.bad(findings) == [
        "problem node a: not Ready for 5m: NodeStatusUnknown: stopped posting", "warning node b: DiskPressure: disk",
        "warning node b: KeeperImpaired: no cgroup",
        "warning node b: cordoned: it takes no pods", "warning limits: b: no root",
        "warning versions: c is not \(Version.current), as the coordinator is",
      ])
    #expect(findings.contains { $0.advice.contains("stint node declare-dead a") })
    #expect(Self.bad(Self.cluster { $0.nodes = .value([]) }) == ["problem nodes: there are none, so no pod can run"])
  }

  @Test("of a thousand nodes that are away ten are named")
  func many() {
    let nodes = (0..<1_000).map { Self.node("n\($0)", ready: "Unknown") }
    let told = Self.bad(Self.cluster { $0.nodes = .value(nodes) })
    #expect(told.count == 11 && told.last == "problem nodes: 990 more nodes are not Ready")
  }

  @Test("who may not list nodes or pods is told so, which is no problem of the cluster")
  func restricted() {
    let findings = Self.cluster { survey in
      survey.nodes = .refused("nodes is forbidden")
      survey.pods = .refused("pods is forbidden")
    }
    #expect(Self.bad(findings) == ["skipped nodes: nodes is forbidden", "skipped pods: pods is forbidden"])
    let some = Self.cluster { ($0.pods, $0.namespace) = (.value([]), "team") }
    #expect(some.last?.text == "none at work or on the way in namespace team, which is what you may see")
  }

  @Test("pods that should have ended, wait for a proof or are pending for long are told of, others are not")
  func pods() {
    let pods = [
      Self.pod("gone", "Running", node: "z", deleted: "2026-12-01T00:58:00Z"),
      Self.pod("goes", "Running", node: "a", deleted: "2026-12-01T00:59:30Z"),
      Self.pod("held", "Pending", reason: "PredecessorMayRun"), Self.pod("old", "Pending"),
      Self.pod("older", "Pending"), Self.pod("new", "Pending", created: "2026-12-01T00:58:00Z"),
    ]
    let findings = Self.cluster { $0.pods = .value(pods) }
    #expect(
      Self.bad(findings) == [
        "problem pods: 1 pod should have ended over a minute ago on z",
        "warning pods: 1 pod wait until an earlier attempt is proven to have ended",
        "warning pods: pending for over 5 minutes: pod/old (and 1 more): it has no node yet: 0/3 nodes fit",
      ])
    #expect(findings.first { $0.level == .problem }?.advice.contains("declare-dead z") == true)
    #expect(findings.last?.advice == "stint why pod/old (with its -n NAMESPACE)")
  }

  // Its form.

  @Test("problems alone make the exit status 1, and the last line counts")
  func sums() {
    func sum(_ findings: [Diagnosis]) -> String {
      var diagnoses = Diagnoses()
      diagnoses.add("x", findings)
      return "\(diagnoses.exitStatus) \(diagnoses.sum)"
    }
    let (bad, odd) = (Diagnosis.problem("a", "b", "c"), Diagnosis.warning("a", "b", "c"))
    #expect(sum([]) == "0 No problem was found.")
    #expect(sum([odd, .skipped("a", "b")]) == "0 No problem, 1 warning.")
    #expect(sum([bad, bad]) == "1 2 problems." && sum([bad, odd, odd]) == "1 1 problem, 2 warnings.")
  }

  @Test("what a node says of itself cannot write on the screen, and stays one line")
  func harmless() {
    var diagnoses = Diagnoses()
    diagnoses.add("This machine", [.problem("node a\u{1b}[2J", "down\nok  all is well", "look")])
    let text = diagnoses.text(colours: false)
    #expect(
      text == "This machine\n  problem  node a^[[2J  down ok  all is well\n           do: look\n\n1 problem.\n",
      "\(text)")
    #expect(diagnoses.text(colours: true).contains("\u{1b}[31mproblem\u{1b}[0m  node"))
    #expect(diagnoses.json["findings"]?[0]?["advice"] == "look" && diagnoses.json["problems"] == 1)
  }

  @Test(
    "an answer of the API is read when it is whole, and nothing else is taken for one",
    arguments: [
      ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: Tue, 01 Dec 2026 14:18:42 GMT\r\n\r\nok", true),
      ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", false), ("HTTP/1.1 200 OK\r\n\r\nok", false),
      ("SSH-2.0-x\r\n\r\n", false), ("HTTP/1.1\r\n\r\n", false), ("", false),
    ])
  func answers(text: String, isAnswer: Bool) {
    #expect((ReadyProbe.answer(Array(text.utf8), isWhole: false) != nil) == isAnswer)
  }

  @Test("HTTP's time is read, and what is none is not")
  func dates() {
    #expect(HTTPDate.read("Tue, 01 Dec 2026 14:18:42 GMT") == WallTime(rfc3339: "2026-12-01T14:18:42Z"))
    for bad in ["", "Tue, 01 Foo 2026 14:18:42 GMT", "Tue, 01 Dec 2026 14:18 GMT", "01 Dec 2026 14:18:42 GMT"] {
      #expect(HTTPDate.read(Substring(bad)) == nil)
    }
  }

  @Test("sizes are told as people say them")
  func sizes() {
    #expect(
      [0, 1_023, 1_024, 1_536, 10 << 30, UInt64.max].map { Quantity.rounded($0) } == [
        "0", "1023", "1.0Ki", "1.5Ki", "10Gi", "16Ei",
      ])
  }

  @Test("on a real cluster it finds the coordinator, its nodes and their directories, and a node that is stopped")
  func real() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 2) { cluster in
        let sound = try cluster.stint(["doctor", "-o", "json", "--data", cluster.directory])
        let json = try JSON(parsing: Array(sound.text.drop { $0 != "{" }.utf8))
        func found(_ json: JSON, _ subject: String, _ level: String) -> [String] {
          (json["findings"]?.arrayValue ?? []).filter {
            $0["subject"]?.stringValue == subject && $0["level"]?.stringValue == level
          }.compactMap { $0["message"]?.stringValue }
        }
        try checkEqual(found(json, "nodes", "ok"), ["2 of 2 Ready"], "\(sound.text)")
        try checkEqual(found(json, "API", "ok"), ["/readyz: ok"], "\(sound.text)")
        try checkEqual(found(json, "agent", "ok").count, 2, "agents: \(sound.text)")
        try checkEqual(found(json, "coordinator", "ok").count, 2, "coordinators: \(sound.text)")
        try checkEqual(found(json, "clocks", "ok").count, 1, "clocks: \(sound.text)")
        try checkEqual(found(json, "certificates", "problem"), [], "certificates")

        try cluster.killAgent("node-2")
        try eventually("node-2 is away") { try !cluster.isReady("node-2") }
        let ill = try cluster.stint(["doctor", "--only", "cluster"])
        try checkEqual(ill.status, 1, ill.text)
        try check(ill.text.contains("problem  node node-2") && ill.text.contains("1 of 2 Ready"), ill.text)
        let stopped = try cluster.stint(["doctor", "--only", "cluster", "--kubeconfig", "/nowhere"])
        try check(stopped.status == 1 && stopped.text.contains("there is no kubeconfig /nowhere"), stopped.text)
      }
    }
  }
}
