// Stock kubectl against a cluster of real processes: the commands that people type for Jobs. Skipped where there is
// no kubectl.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("kubectl")
struct KubectlTests {
  static let kubectl = ["/usr/local/bin/kubectl", "/usr/bin/kubectl"].first { Files.exists($0) }

  private final class Kubectl {
    let cluster: TestCluster
    let path: String
    private var runs = 0

    init(_ cluster: TestCluster, _ path: String) throws {
      self.cluster = cluster
      self.path = path
      let text = try KubeconfigCommand.text(data: "\(cluster.directory)/coordinator")
      try Files.writeAtomically("\(cluster.directory)/kubeconfig", Array(text.utf8))
    }

    func run(_ words: [String], within seconds: Int64 = 60) throws -> (status: Int32, text: String) {
      runs += 1
      let program = try Program(
        words, path: path,
        environment: ["HOME=\(cluster.directory)/home", "KUBECONFIG=\(cluster.directory)/kubeconfig"],
        output: "\(cluster.directory)/logs/client-kubectl-\(runs)", directory: cluster.directory)
      return (try program.end(within: seconds), program.text)
    }

    /// Runs it; it must succeed and print each of `texts`.
    @discardableResult
    func must(_ line: String, prints texts: String..., at place: UInt = #line) throws -> String {
      try must(line.split(separator: " ").map(String.init), prints: texts, at: place)
    }

    @discardableResult
    func must(_ words: [String], prints texts: [String], at place: UInt = #line) throws -> String {
      let result = try run(words)
      try check(result.status == 0, "kubectl \(words): \(result)", line: place)
      for text in texts {
        try check(result.text.contains(text), "kubectl \(words) lacks \(text): \(result.text)", line: place)
      }
      return result.text
    }

    /// Runs it; it must fail and print `text`.
    func fails(_ line: String, prints text: String, at place: UInt = #line) throws {
      let result = try run(line.split(separator: " ").map(String.init))
      try check(
        result.status != 0 && result.text.contains(text), "kubectl \(line) lacks \(text): \(result)", line: place)
    }
  }

  private func with(_ body: @escaping @Sendable (TestCluster) throws -> Void) async throws {
    try await Blocking.run { try TestCluster.with(agents: 1, body) }
  }

  @Test("the commands of a Job's life: apply, get, patch, describe, wait, logs, delete", .enabled(if: kubectl != nil))
  func jobs() async throws {
    let path = try #require(Self.kubectl)
    try await with { cluster in
      let kubectl = try Kubectl(cluster, path)
      try kubectl.must("version", prints: "Server Version: v1.31.")
      try kubectl.must("get nodes", prints: "node-1   Ready")
      var job: JSON = cluster.manifest("demo", .script("echo first line\necho last line\n"))
      job[path: ["spec", "suspend"]] = true
      try Files.writeAtomically("\(cluster.directory)/demo.yaml", job.bytes)
      try kubectl.must("apply -f demo.yaml", prints: "job.batch/demo created")
      try kubectl.must("apply -f demo.yaml", prints: "job.batch/demo unchanged")
      try kubectl.must("get jobs", prints: "NAME   STATUS      COMPLETIONS   DURATION   AGE", "demo   Suspended   0/1")
      try kubectl.must("get jobs -o wide", prints: "CONTAINERS   IMAGES", "main         none")
      try kubectl.must("label job demo tier=one", prints: "job.batch/demo labeled")
      try kubectl.must("annotate job demo note=two", prints: "job.batch/demo annotated")
      try kubectl.must("get jobs -l tier=one -o name", prints: "job.batch/demo")
      try kubectl.must(["patch", "job/demo", "-p", #"{"spec":{"suspend":false}}"#], prints: ["job.batch/demo patched"])
      try kubectl.must("wait --for=condition=complete job/demo --timeout=30s", prints: "job.batch/demo condition met")
      try kubectl.must("get job demo", prints: "demo   Complete   1/1")
      try kubectl.must("describe job demo", prints: "1 Succeeded / 0 Failed", "SuccessfulCreate", "Completed")
      try kubectl.must("get po -l job-name=demo", prints: "0/1     Completed   0")
      try kubectl.must("logs job/demo", prints: "first line\nlast line\n")
      try kubectl.must("logs job/demo --tail=1 --prefix", prints: "/main] last line")
      try kubectl.must("logs -f job/demo", prints: "last line")
      try kubectl.must("get events", prints: "SuccessfulCreate", "job/demo")
      try kubectl.must("events --for job/demo", prints: "Completed")
      try kubectl.must("delete job demo", prints: "job.batch \"demo\" deleted")
      try kubectl.fails("get job demo", prints: "Error from server (NotFound): jobs.batch \"demo\" not found")
      try kubectl.must("get pods", prints: "No resources found in default namespace.")
    }
  }

  @Test("explain, refusals, namespaces, orphans, nodes: each as Kubernetes words it", .enabled(if: kubectl != nil))
  func more() async throws {
    let path = try #require(Self.kubectl)
    try await with { cluster in
      let kubectl = try Kubectl(cluster, path)
      try kubectl.must(
        "explain job.spec", prints: "FIELD: spec <JobSpec>", "backoffLimit\t<integer>", "suspend\t<boolean>")
      try kubectl.must("explain pod.spec.containers.env", prints: "<[]EnvVar>")
      try kubectl.must("api-resources", prints: "jobs", "batch/v1", "Job")
      var job: JSON = cluster.manifest("stays", .untilTold)
      job[path: ["spec", "suspendx"]] = true
      try Files.writeAtomically("\(cluster.directory)/job.yaml", job.bytes)
      try kubectl.fails("create -f job.yaml", prints: "strict decoding error: unknown field \"spec.suspendx\"")
      job[path: ["spec", "suspendx"]] = nil
      job[path: ["spec", "template", "spec", "restartPolicy"]] = "Always"
      try Files.writeAtomically("\(cluster.directory)/job.yaml", job.bytes)
      try kubectl.fails(
        "create -f job.yaml",
        prints: "The Job \"stays\" is invalid: spec.template.spec.restartPolicy: Required value: valid values: ")
      job[path: ["spec", "template", "spec", "restartPolicy"]] = "Never"
      try Files.writeAtomically("\(cluster.directory)/job.yaml", job.bytes)
      try kubectl.must("create -f job.yaml", prints: "job.batch/stays created")
      try kubectl.fails("create -f job.yaml", prints: "Error from server (AlreadyExists)")
      try kubectl.fails("apply --server-side -f job.yaml", prints: "not supported by this version")
      try kubectl.must("delete job stays --cascade=orphan", prints: "deleted")
      let orphan = try kubectl.must("get pods -o name", prints: "pod/stays-")
      try kubectl.must("delete \(orphan.dropLast()) --grace-period=1", prints: "deleted")

      try kubectl.must("create namespace other", prints: "namespace/other created")
      try kubectl.must("create configmap c --from-literal=a=b -n other", prints: "configmap/c created")
      try kubectl.must("get configmap c -n other", prints: "c      1")
      try kubectl.must("delete namespace other", prints: "namespace \"other\" deleted")
      try kubectl.must("cordon node-1", prints: "node/node-1 cordoned")
      try kubectl.must("get nodes", prints: "Ready,SchedulingDisabled")
      try kubectl.must("uncordon node-1", prints: "node/node-1 uncordoned")
      try kubectl.must("describe node node-1", prints: "Non-terminated Pods:")
      try kubectl.must("delete jobs --all", prints: "No resources found")
    }
  }

  @Test("what every cluster and namespace has, Secrets, and why a pod does not start", .enabled(if: kubectl != nil))
  func standing() async throws {
    let path = try #require(Self.kubectl)
    try await with { cluster in
      let kubectl = try Kubectl(cluster, path)
      try kubectl.must(
        "get ns", prints: "default           Active", "kube-node-lease   Active", "kube-public       Active",
        "kube-system       Active")
      try kubectl.must("get svc", prints: "kubernetes   ClusterIP   127.0.0.1    <none>        ")
      try kubectl.must(
        "describe svc kubernetes", prints: "component=apiserver", "provider=kubernetes", "https  ", "127.0.0.1")
      try kubectl.must("create namespace team", prints: "created")
      try kubectl.must("get sa -n team", prints: "default   0")
      try kubectl.must("describe sa default -n team", prints: "Name:                default")
      try kubectl.must("get cm -n team", prints: "kube-root-ca.crt   1")
      try kubectl.must("describe cm kube-root-ca.crt -n team", prints: "-----BEGIN CERTIFICATE-----")
      try kubectl.must("delete cm kube-root-ca.crt -n team", prints: "deleted")
      try kubectl.must("get cm kube-root-ca.crt -n team", prints: "kube-root-ca.crt   1")
      try kubectl.must("delete namespace team", prints: "deleted")
      try kubectl.fails("delete namespace kube-public", prints: "this namespace may not be deleted")
      try kubectl.must("describe node node-1", prints: "HolderIdentity:  node-1", "RenewTime:")
      try kubectl.must("get leases -n kube-node-lease", prints: "node-1   node-1")

      var job: JSON = cluster.manifest("waits", .script("echo $PASSWORD\n"))
      job[path: ["spec", "template", "spec", "containers"]] = [
        [
          "name": "main", "image": "none", "command": ["sh", "-c", "echo password $PASSWORD"],
          "env": [["name": "PASSWORD", "valueFrom": ["secretKeyRef": ["name": "login", "key": "password"]]]],
        ]
      ]
      try Files.writeAtomically("\(cluster.directory)/job.yaml", job.bytes)
      try kubectl.must("apply -f job.yaml", prints: "created")
      try eventually("describe says what is missing") {
        try kubectl.run(["describe", "pod", "-l", "job-name=waits"]).text.contains("Error: secret \"login\" not found")
      }
      try kubectl.must("get pods", prints: "CreateContainerConfigError")
      try kubectl.must("create secret generic login --from-literal=password=p4ss", prints: "secret/login created")
      try kubectl.must("get secrets", prints: "login   Opaque   1")
      try kubectl.must("describe secret login", prints: "password:  4 bytes")
      try kubectl.must("wait --for=condition=complete job/waits --timeout=30s", prints: "condition met")
      try kubectl.must("logs job/waits", prints: "password p4ss\n")
    }
  }

  @Test("`create job --image` runs, or says what to do where the client sends protobuf", .enabled(if: kubectl != nil))
  func createJob() async throws {
    let path = try #require(Self.kubectl)
    try await with { cluster in
      let kubectl = try Kubectl(cluster, path)
      let result = try kubectl.run(["create", "job", "hello", "--image=none", "--", "echo", "hello"])
      if result.status == 0 {
        try kubectl.must("wait --for=condition=complete job/hello --timeout=30s", prints: "condition met")
        try kubectl.must("logs job/hello", prints: "hello\n")
      } else {
        try check(result.text.contains("send JSON"), "kubectl create job: \(result)")
      }
    }
  }
}
