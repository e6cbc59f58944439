// Security contexts at the coordinator: what is wrong in itself in Kubernetes' words, what is refused by name, what is
// said at submission, and on which nodes pods that have them run.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("security contexts") struct SecurityContextTests {
  private static func pod(_ context: JSON, container: JSON = [:], image: String = "busybox", _ more: JSON = [:]) -> JSON
  {
    var main: JSON = ["name": "main", "image": .string(image), "command": ["true"]]
    if container.objectValue?.isEmpty == false { main["securityContext"] = container }
    var spec = more
    if context.objectValue?.isEmpty == false { spec["securityContext"] = context }
    spec["containers"] = [main]
    return spec
  }

  private static let range = "must be between 0 and 2147483647, inclusive"
  private static let types = #"supported values: "Localhost", "RuntimeDefault", "Unconfined""#

  private static let wrong: [(JSON, String)] = [
    (pod(["runAsUser": -1]), "securityContext.runAsUser: Invalid value: -1: \(range)"),
    (pod(["runAsGroup": 2_147_483_648]), "securityContext.runAsGroup: Invalid value: 2147483648: \(range)"),
    (pod(["fsGroup": -5]), "securityContext.fsGroup: Invalid value: -5: \(range)"),
    (pod(["supplementalGroups": [1, -2]]), "securityContext.supplementalGroups[1]: Invalid value: -2: \(range)"),
    (
      pod(["supplementalGroupsPolicy": "Some"]),
      #"securityContext.supplementalGroupsPolicy: Unsupported value: "Some": supported values: "Merge", "Strict""#
    ),
    (
      pod(["fsGroupChangePolicy": "Never"]),
      #"securityContext.fsGroupChangePolicy: Unsupported value: "Never": supported values: "Always", "OnRootMismatch""#
    ),
    (
      pod(["seccompProfile": ["type": "Some"]]),
      "securityContext.seccompProfile.type: Unsupported value: \"Some\": \(types)"
    ),
    (
      pod(["seccompProfile": ["localhostProfile": "x"]]),
      "securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set"
    ),
    (
      pod(["seccompProfile": ["type": "Localhost"]]),
      "securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"
    ),
    (
      pod(["seccompProfile": ["type": "Localhost", "localhostProfile": "../x"]]),
      #"securityContext.seccompProfile.localhostProfile: Invalid value: "../x": must not contain '..'"#
    ),
    (
      pod([:], container: ["procMount": "Some"]),
      #"containers[0].securityContext.procMount: Unsupported value: "Some": supported values: "Default", "Unmasked""#
    ),
    (
      pod([:], container: ["procMount": "Unmasked"]),
      "procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`"
    ),
    (
      pod([:], container: ["allowPrivilegeEscalation": false, "privileged": true]),
      #"containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation":false,"privileged":true}: "#
        + "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
    ),
    (
      pod([:], container: ["allowPrivilegeEscalation": false, "capabilities": ["add": ["CAP_SYS_ADMIN"]]]),
      "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
    ),
    (
      pod([:], ["shareProcessNamespace": true, "hostPID": true]),
      "shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"
    ),
    (pod([:], ["hostUsers": false, "hostNetwork": true]), "spec.hostNetwork: Forbidden: when `hostUsers` is false"),
    (pod([:], ["hostUsers": false, "hostPID": true]), "spec.HostPID: Forbidden: when `hostUsers` is false"),
    (pod([:], ["hostUsers": false, "hostIPC": true]), "spec.HostIPC: Forbidden: when `hostUsers` is false"),
  ]

  @Test("what is wrong in itself is refused in Kubernetes' words", arguments: wrong)
  func invalid(spec: JSON, message: String) throws {
    let harness = try APIHarness()
    let answer = harness.create(.pods, Manifest.pod("p", spec: spec))
    #expect(answer.code == 422 && answer.message.contains(message), "\(answer.message)")
    let job = harness.create(.jobs, Manifest.job("j", pod: spec))
    #expect(job.code == 422 && job.message.contains(message), "\(job.message)")
  }

  private static let unsupported: [(JSON, String)] = [
    (pod([:], ["hostPID": true]), "hostPID"),
    (pod(["seLinuxOptions": ["level": "x"]]), "securityContext.seLinuxOptions"),
    (pod(["sysctls": [["name": "kernel.shm_rmid_forced", "value": "1"]]]), "securityContext.sysctls"),
    (pod([:], container: ["appArmorProfile": ["type": "RuntimeDefault"]]), "containers[0].securityContext.appArmor"),
  ]

  @Test("what no node holds a pod to is refused by name", arguments: unsupported)
  func refused(spec: JSON, field: String) throws {
    let answer = try APIHarness().create(.pods, Manifest.pod("p", spec: spec))
    #expect(answer.code == 422 && answer.message.contains("spec.\(field)"), "\(answer.message)")
    #expect(answer.message.contains("Forbidden: not supported by this version"), "\(answer.message)")
  }

  private static let confining: [(String, JSON)] = [
    ("runAsUser", ["runAsUser": 0]), ("runAsGroup", ["runAsGroup": 7]), ("runAsNonRoot", ["runAsNonRoot": true]),
    ("seccompProfile", ["seccompProfile": ["type": "RuntimeDefault"]]),
  ]
  private static let ofPods: [(String, JSON)] = [
    ("fsGroup", ["fsGroup": 1]), ("supplementalGroups", ["supplementalGroups": [4]]),
  ]
  private static let ofContainers: [(String, JSON)] = [
    ("allowPrivilegeEscalation", ["allowPrivilegeEscalation": false]),
    ("capabilities.drop", ["capabilities": ["drop": ["ALL"]]]),
    ("readOnlyRootFilesystem", ["readOnlyRootFilesystem": true]),
  ]

  @Test("for image: host each field that would not hold of a program of the host is refused by name")
  func host() throws {
    let harness = try APIHarness()
    for (name, context) in Self.confining + Self.ofPods {
      let answer = harness.create(.pods, Manifest.pod("p", spec: Self.pod(context, image: "host")))
      let text = "spec.securityContext.\(name): Forbidden: not supported by this version for `image: host`"
      #expect(answer.code == 422 && answer.message.contains(text), "\(answer.message)")
    }
    for (name, context) in Self.confining + Self.ofContainers {
      let answer = harness.create(.pods, Manifest.pod("p", spec: Self.pod([:], container: context, image: "host")))
      let text =
        "spec.containers[0].securityContext.\(name): Forbidden: not supported by this version for `image: host`"
      #expect(answer.code == 422 && answer.message.contains(text), "\(answer.message)")
    }
    let free: JSON = [
      "runAsNonRoot": false, "allowPrivilegeEscalation": true, "privileged": true, "procMount": "Default",
      "capabilities": ["add": ["NET_ADMIN"]], "seccompProfile": ["type": "Unconfined"],
    ]
    let answer = harness.create(.pods, Manifest.pod("p", spec: Self.pod([:], container: free, image: "host")))
    #expect(answer.code == 201 && answer.warnings.isEmpty, "\(answer)")
  }

  @Test("users of the pod's own are taken for images, and so is what needs them; a program of the host has none")
  func ownUsers() throws {
    let harness = try APIHarness()
    let spec = Self.pod([:], container: ["procMount": "Unmasked"], ["hostUsers": false])
    let answer = harness.create(.pods, Manifest.pod("p", spec: spec))
    #expect(answer.code == 201 && answer.object[path: ["spec", "hostUsers"]] == false, "\(answer.message)")
    #expect(answer.warnings.count == 1)
    #expect(answer.warnings.first?.hasPrefix("spec.hostUsers: no node here would hold the pod to it") == true)
    let host = harness.create(.pods, Manifest.pod("h", spec: Self.pod([:], image: "host", ["hostUsers": false])))
    let text = "spec.containers[0].image: Forbidden: not supported by this version with `hostUsers: false`"
    #expect(host.code == 422 && host.message.contains(text), "\(host.message)")
  }

  @Test("where no node would hold the pod to it, it is taken, kept, and a Warning says that it waits")
  func warned() throws {
    let harness = try APIHarness()
    let context: JSON = ["runAsUser": 5, "fsGroup": 6, "supplementalGroupsPolicy": "Strict"]
    let answer = harness.create(.pods, Manifest.pod("p", spec: Self.pod(context)))
    #expect(answer.code == 201 && answer.warnings.count == 1)
    #expect(answer.warnings.first?.hasPrefix("spec.securityContext: no node here would hold the pod to it") == true)
    #expect(answer.object[path: ["spec", "securityContext"]] == context)
    let job = harness.create(.jobs, Manifest.job("j", pod: Self.pod([:], container: ["runAsNonRoot": true])))
    #expect(job.warnings.first?.hasPrefix("spec.template.spec.securityContext: no node here") == true)
  }

  private func message(_ harness: FleetHarness, _ pod: String) -> String {
    harness.pod(pod)?.status.condition("PodScheduled")?.message ?? ""
  }

  @Test("a pod with users of its own goes to no node that has none to give, which says why") func usersNode() throws {
    var harness = try FleetHarness.joined(["off", "one"])
    for (name, labels) in [
      ("off", [ImageMode.label: "off"]), ("one", [ImageMode.label: "on", ImageMode.usersLabel: ImageMode.oneUser]),
    ] as [(String, StringMap)] {
      harness.agents[name]?.labels = labels
      harness.reconnect(name, session: "again")
    }
    harness.addPod("own", extra: [("hostUsers", false)])
    #expect(harness.pod("own")?.nodeName == nil)
    #expect(
      message(harness, "own").contains(
        "1 node(s) didn't run images, which the pod's hostUsers: false needs, 1 node(s) ran every container as one "
          + "user, whatever the pod's hostUsers: false says"), "\(message(harness, "own"))")
    var agent = FakeAgent("many")
    agent.labels = [ImageMode.label: "on", ImageMode.usersLabel: ImageMode.ownUsers]
    harness.join(agent)
    #expect(harness.pod("own")?.nodeName == "many")
  }

  private func add(_ harness: inout FleetHarness, _ name: String, _ context: JSON, extra: [(String, JSON)] = []) {
    let container: JSON = ["name": "c", "image": "busybox", "command": ["true"], "securityContext": context]
    harness.addPod(name, extra: [("containers", [container])] + extra)
  }

  @Test("a pod goes to no node that would not hold it to its security context, and says why")
  func scheduled() throws {
    var harness = try FleetHarness.joined(["off", "one"]) { agent in
      if agent.name == "one" {
        agent.labels = [ImageMode.label: "on", ImageMode.usersLabel: ImageMode.oneUser]
      }
    }
    add(&harness, "held", ["runAsUser": 5])
    add(&harness, "free", ["runAsNonRoot": false])
    add(&harness, "more", ["privileged": true])
    #expect(harness.pod("held")?.nodeName == nil && harness.pod("free")?.nodeName != nil)
    #expect(harness.pod("more")?.nodeName == "off", "a program of the host has its rights")
    #expect(
      message(harness, "held").hasPrefix(
        "0/2 nodes are available: 1 node(s) didn't run images, which the pod's securityContext needs, 1 node(s) ran "
          + "every container as one user, whatever the pod's securityContext says."), "\(message(harness, "held"))")
    #expect(harness.core.imageNodes.holding == 0)
    var agent = FakeAgent("own")
    agent.labels = [ImageMode.label: "on", ImageMode.usersLabel: ImageMode.ownUsers]
    harness.join(agent)
    #expect(harness.pod("held")?.nodeName == "own" && harness.core.imageNodes.holding == 1)
    #expect(harness.problems() == [])
  }

  @Test("a node that begins to run images is offered to pods that wait for one")
  func later() throws {
    var harness = try FleetHarness.joined(["a"])
    add(&harness, "held", ["capabilities": ["drop": ["ALL"]]])
    #expect(harness.pod("held")?.nodeName == nil)
    harness.agents["a"]?.labels = [ImageMode.label: "on"]
    harness.reconnect("a", session: "again")
    #expect(harness.pod("held")?.nodeName == "a")
  }

  @Test("a pod that names a node that would not hold it fails there") func named() throws {
    var harness = try FleetHarness.joined(["a"])
    let spec = Self.pod(["runAsUser": 5], ["nodeName": "a"])
    let body = Manifest.pod("named", spec: spec)
    harness.step([.request(901, APIRequest(verb: .create, kind: .pods, namespace: "default", body: body))])
    let status = try #require(harness.pod("named")?.status)
    #expect(status.phase == .failed && status.reason == "SecurityContext")
    #expect(status.message.hasPrefix("Pod was rejected: Predicate SecurityContext failed: node(s) didn't run images"))
  }
}
