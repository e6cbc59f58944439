// Pod Security labels of namespaces: what each standard forbids, in Kubernetes' words, whom it is told, and what
// becomes of Jobs whose pods may not be.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("pod security") struct PodSecurityTests {
  private func harness(_ labels: JSON) throws -> APIHarness {
    let harness = try APIHarness()
    let answer = harness.patch(.namespaces, "default", .merge, ["metadata": ["labels": labels]])
    #expect(answer.code == 200, "\(answer.message)")
    return harness
  }

  private static func main(_ more: JSON) -> JSON {
    var container: JSON = ["name": "main", "image": "busybox:1", "command": ["true"]]
    for (key, value) in more.objectValue ?? JSONObject() { container[key] = value }
    return ["containers": [container]]
  }

  private static func context(_ context: JSON) -> JSON { main(["securityContext": context]) }

  private static func with(_ more: JSON) -> JSON {
    var spec = main([:])
    for (key, value) in more.objectValue ?? JSONObject() { spec[key] = value }
    return spec
  }

  private static let baselineCases: [(JSON, String)] = [
    (
      context(["privileged": true]),
      #"privileged (container "main" must not set securityContext.privileged=true)"#
    ), (with(["hostNetwork": true, "hostIPC": true]), "host namespaces (hostNetwork=true, hostIPC=true)"),
    (
      with(["volumes": [["name": "v", "hostPath": ["path": "/tmp"]], ["name": "w", "hostPath": ["path": "/etc"]]]]),
      #"hostPath volumes (volumes "v", "w")"#
    ),
    (
      main(["ports": [["containerPort": 80, "hostPort": 8080], ["containerPort": 81, "hostPort": 8081]]]),
      #"hostPort (container "main" uses hostPorts 8080, 8081)"#
    ),
    (
      context(["capabilities": ["add": ["SYS_TIME", "CHOWN", "NET_ADMIN"]]]),
      #"non-default capabilities (container "main" must not include "NET_ADMIN", "SYS_TIME" in "#
        + "securityContext.capabilities.add)"
    ),
    (
      with(["securityContext": ["seccompProfile": ["type": "Unconfined"]]]),
      #"seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")"#
    ),
    (
      context(["appArmorProfile": ["type": "Unconfined"]]),
      #"forbidden AppArmor profile (container "main" must not set AppArmor profile type to "Unconfined")"#
    ),
  ]

  @Test("baseline refuses in Kubernetes' words", arguments: baselineCases)
  func baseline(spec: JSON, message: String) throws {
    let harness = try harness(["pod-security.kubernetes.io/enforce": "baseline"])
    let answer = harness.create(.pods, Manifest.pod("p", spec: spec))
    #expect(answer.code == 403)
    #expect(
      answer.message == #"pods "p" is forbidden: violates PodSecurity "baseline:latest": \#(message)"#,
      "\(answer.message)")
    #expect(harness.create(.pods, Manifest.pod("q", spec: Self.main([:]))).code == 201)
  }

  private static let plain =
    #"allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false), "#
    + #"unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]), "#
    + #"runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true), "#
    + #"seccompProfile (pod or container "main" must set securityContext.seccompProfile.type to "RuntimeDefault" or "#
    + #""Localhost")"#
  private static let good: JSON = [
    "allowPrivilegeEscalation": false, "capabilities": ["drop": ["ALL"]], "runAsNonRoot": true,
    "seccompProfile": ["type": "RuntimeDefault"],
  ]

  private static func good(_ change: JSON, _ more: JSON = [:]) -> JSON {
    var own = good
    for (key, value) in change.objectValue ?? JSONObject() { own[key] = value }
    var spec = context(own)
    for (key, value) in more.objectValue ?? JSONObject() { spec[key] = value }
    return spec
  }

  private static let restrictedCases: [(JSON, String)] = [
    (main([:]), plain),
    (
      good([:], ["volumes": [["name": "v", "hostPath": ["path": "/tmp"]]]]),
      #"restricted volume types (volume "v" uses restricted volume type "hostPath")"#
    ), (good(["runAsUser": 0]), #"runAsUser=0 (container "main" must not set runAsUser=0)"#),
    (
      good(["runAsNonRoot": false], ["securityContext": ["runAsNonRoot": false]]),
      #"runAsNonRoot != true (pod and container "main" must not set securityContext.runAsNonRoot=false)"#
    ),
    (
      good(["capabilities": ["add": ["CHOWN", "NET_BIND_SERVICE"]]]),
      #"unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]; "#
        + #"container "main" must not include "CHOWN" in securityContext.capabilities.add)"#
    ),
  ]

  @Test("restricted refuses in Kubernetes' words", arguments: restrictedCases)
  func restricted(spec: JSON, message: String) throws {
    let harness = try harness(["pod-security.kubernetes.io/enforce": "restricted"])
    let answer = harness.create(.pods, Manifest.pod("p", spec: spec))
    #expect(
      answer.message == #"pods "p" is forbidden: violates PodSecurity "restricted:latest": \#(message)"#,
      "\(answer.message)")
    #expect(harness.create(.pods, Manifest.pod("q", spec: Self.good([:]))).code == 201)
  }

  @Test("an older version forbids what it forbade") func versions() throws {
    let harness = try harness([
      "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "v1.21",
    ])
    let answer = harness.create(.pods, Manifest.pod("p", spec: Self.main([:])))
    #expect(answer.message.contains(#"violates PodSecurity "restricted:v1.21": allowPrivilegeEscalation"#))
    #expect(!answer.message.contains("capabilities"))
    #expect(harness.create(.pods, Manifest.pod("q", spec: Self.good(["capabilities": [:]]))).code == 201)
  }

  @Test("labels that say nothing are refused") func labels() throws {
    let harness = try APIHarness()
    let key = "pod-security.kubernetes.io/enforce"
    let level = harness.patch(.namespaces, "default", .merge, ["metadata": ["labels": [key: "strict"]]])
    #expect(
      level.code == 422
        && level.message.contains(
          #"metadata.labels[\#(key)]: Invalid value: "strict": must be one of privileged, baseline, restricted"#),
      "\(level.message)")
    let version = harness.create(
      .namespaces, ["metadata": ["name": "n", "labels": ["\(key)-version": "1.20"]]], namespace: "")
    #expect(version.message.contains(#"Invalid value: "1.20": must be "latest" or "v1.x""#), "\(version.message)")
  }

  @Test("warn warns of pods, Jobs and CronJobs, as enforce does of Jobs where nothing is said of warning")
  func warnings()
    throws
  {
    let text = "would violate PodSecurity \"restricted:latest\": \(Self.plain)"
    let warned = try harness(["pod-security.kubernetes.io/warn": "restricted"])
    #expect(warned.create(.pods, Manifest.pod("p", spec: Self.main([:]))).warnings == [text])
    let spec: JSON = Self.main([:])
    let job = warned.create(.jobs, Manifest.job("j", pod: spec))
    #expect(job.code == 201 && job.warnings == [text])
    var template = Manifest.job("c", pod: spec)
    template["metadata"] = nil
    let cron: JSON = ["metadata": ["name": "c"], "spec": ["schedule": "@daily", "jobTemplate": template]]
    #expect(warned.create(.cronjobs, cron).warnings.contains(text))
    let enforced = try harness(["pod-security.kubernetes.io/enforce": "restricted"])
    #expect(enforced.create(.jobs, Manifest.job("j", pod: spec)).warnings == [text])
    let quiet = try harness([
      "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "privileged",
    ])
    #expect(quiet.create(.jobs, Manifest.job("j", pod: spec)).warnings.isEmpty)
  }

  @Test("who asks more of a namespace is told of the pods there that could not be made any more") func existing() throws
  {
    let harness = try APIHarness()
    for name in ["a", "b", "c"] { harness.create(.pods, Manifest.pod(name, spec: Self.main([:]))) }
    harness.create(.pods, Manifest.pod("d", spec: Self.context(["privileged": true])))
    let labels: JSON = ["pod-security.kubernetes.io/enforce": "baseline"]
    let answer = harness.patch(.namespaces, "default", .merge, ["metadata": ["labels": labels]])
    #expect(
      answer.warnings == [
        #"existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest""#,
        "d: privileged",
      ], "\(answer.warnings)")
    let more: JSON = ["pod-security.kubernetes.io/enforce": "restricted"]
    let second = harness.patch(.namespaces, "default", .merge, ["metadata": ["labels": more]])
    #expect(
      second.warnings.contains(
        "a (and 2 other pods): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, "
          + "seccompProfile"), "\(second.warnings)")
  }

  @Test("a Job whose pods may not be says so as Kubernetes' controller does, and goes on when the labels change")
  func jobs() throws {
    let cluster = try JobCluster()
    func label(_ level: String) {
      var options = APIOptions()
      options.patchKind = .merge
      let body: JSON = ["metadata": ["labels": ["pod-security.kubernetes.io/enforce": .string(level)]]]
      cluster.ask(APIRequest(verb: .patch, kind: .namespaces, name: "default", options: options, body: body))
    }
    label("baseline")
    cluster.create(
      "j", JobCluster.notTerminate, ["parallelism": 1, "completions": 1], pod: Self.context(["privileged": true]))
    #expect(cluster.pods("j").isEmpty)
    #expect(
      cluster.fleet.events("FailedCreate").contains {
        $0.hasPrefix("Error creating: pods \"j-")
          && $0.hasSuffix(
            #"is forbidden: violates PodSecurity "baseline:latest": privileged (container "main" must not set "#
              + "securityContext.privileged=true)")
      })
    label("privileged")
    #expect(cluster.pods("j").count == 1)
  }
}
