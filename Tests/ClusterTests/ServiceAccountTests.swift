// Programs in pods that talk to the API as client libraries do: by the mounted token, the authority's certificate and
// the variables, and nothing else.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("Programs in pods talk to the API")
struct ServiceAccountTests {
  /// The in-cluster config by hand: prints who asks, what it may see, and what comes of a Job that it makes.
  private static let script = """
    until [ -e /ledger/go ]; do sleep 0.05; done
    cd /var/run/secrets/kubernetes.io/serviceaccount
    echo files=$(ls -A | grep -v '^[.][.]' | tr '\\n' ' ') namespace=$(cat namespace)
    touch mine 2>/dev/null || echo read-only
    host=$KUBERNETES_SERVICE_HOST; case $host in *:*) host="[$host]";; esac
    api=https://$host:$KUBERNETES_SERVICE_PORT
    ask() { curl -s --cacert ca.crt -H "Authorization: Bearer $(cat token)" -H 'Content-Type: application/json' "$@"; }
    review='{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'
    ask -d "$review" $api/apis/authentication.k8s.io/v1/selfsubjectreviews | grep -o '"username": *"[^"]*"'
    ask -o /dev/null -w 'secrets=%{http_code}\\n' $api/api/v1/namespaces/default/secrets
    job='{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"child"},"spec":{"template":{"spec":{
      "restartPolicy":"Never","containers":[{"name":"c","image":"i","command":["true"]}]}}}}'
    ask -o /dev/null -w 'job=%{http_code}\\n' -d "$job" $api/apis/batch/v1/namespaces/default/jobs
    curl -s -o /dev/null -w 'nobody=%{http_code}\\n' --cacert ca.crt $api/api
    [ -s /extra/vault ] && echo vault || true

    """

  /// What lets the account make Jobs.
  private static let binding: JSON = [
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": ["name": "robot-edits"],
    "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"],
    "subjects": [["kind": "ServiceAccount", "name": "robot", "namespace": "default"]],
  ]

  private static func change(_ job: inout JSON) {
    var spec = job[path: ["spec", "template", "spec"]] ?? .null
    spec["serviceAccountName"] = "robot"
    var container = spec["containers"]?[0] ?? .null
    container["volumeMounts"] = .array(
      (container["volumeMounts"]?.arrayValue ?? []) + [["name": "extra", "mountPath": "/extra"]])
    spec["containers"] = [container]
    let source: JSON = ["serviceAccountToken": ["path": "vault", "audience": "vault", "expirationSeconds": 600]]
    spec["volumes"] = .array(
      (spec["volumes"]?.arrayValue ?? []) + [["name": "extra", "projected": ["sources": [source]]]])
    job[path: ["spec", "template", "spec"]] = spec
  }

  /// The token files of the one pod on the node, by path.
  private static func tokens(_ cluster: TestCluster) throws -> [String: String] {
    var result: [String: String] = [:]
    let data = cluster.dataDirectory("node-1")
    var paths = try Files.list("\(data)/pods").map { "\(data)/pods/\($0)/volumes/extra/vault" }
    paths += try Files.list("\(data)/tokens").map { "\(data)/tokens/\($0)/files/token" }
    for path in paths {
      if let bytes = try? Files.read(path) { result[path] = String(decoding: bytes, as: UTF8.self) }
    }
    return result
  }

  @Test(
    "a pod asks as its account and makes a Job once a role lets it; an agent that starts anew has fresh tokens",
    .enabled(if: geteuid() == 0, "the usual mount point is made by root"))
  func inCluster() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        try cluster.apply(cluster.manifest("asker", .script(Self.script), change: Self.change))
        try eventually("the missing account is told") {
          try cluster.events("FailedCreate").contains {
            $0 == "Error creating: pods \"asker-\" is forbidden: error looking up service account default/robot: "
              + "serviceaccount \"robot\" not found"
          }
        }
        try cluster.apply(["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "robot"]])
        try eventually("the pod runs") {
          try cluster.pods(of: "asker").first?[path: ["status", "phase"]]?.stringValue == "Running"
        }
        let first = try Self.tokens(cluster)
        try checkEqual(first.count, 2, "token files: \(first.keys)")
        try cluster.killAgent("node-1")
        try cluster.startAgent("node-1")
        try eventually("both tokens are fresh") {
          let now = try Self.tokens(cluster)
          return now.count == 2 && first.allSatisfy { now[$0.key] != $0.value }
        }
        let fresh = try Self.tokens(cluster)
        try Files.writeAtomically("\(cluster.directory)/ledger/go", [])
        try cluster.must("wait", "job/asker", "--for=complete", "--timeout", "60s", "-q")
        let log = try cluster.stint("logs", "job/asker").text
        for line in [
          "files=ca.crt namespace token namespace=default\n", "read-only\n", "system:serviceaccount:default:robot\"\n",
          "secrets=403\n", "job=403\n", "nobody=401\n", "vault\n",
        ] {
          try check(log.contains(line), "the log lacks \(line): \(log)")
        }
        try cluster.apply(Self.binding, cluster.manifest("maker", .script(Self.script), change: Self.change))
        try cluster.must("wait", "job/maker", "--for=complete", "--timeout", "60s", "-q")
        let allowed = try cluster.stint("logs", "job/maker").text
        try check(allowed.contains("secrets=200\n") && allowed.contains("job=201\n"), "bound to edit: \(allowed)")
        try cluster.must("wait", "job/child", "--for=complete", "--timeout", "60s", "-q")
        // Nothing that is kept or told knows a token.
        var kept = ["\(cluster.dataDirectory("node-1"))/keeper.journal", "\(cluster.directory)/logs/coordinator"]
        kept += ["\(cluster.directory)/logs/node-1", "\(cluster.dataDirectory("node-1"))/keeper.log"]
        kept += try Files.list("\(cluster.directory)/coordinator").map { "\(cluster.directory)/coordinator/\($0)" }
        for path in kept where (try? Files.status(path))?.isDirectory == false {
          let text = String(decoding: try Files.read(path), as: UTF8.self)
          for token in Array(first.values) + Array(fresh.values) {
            try check(!text.contains(token.suffix(40)), "\(path) holds a token")
          }
        }
      }
    }
  }

  /// What `stint create token` prints.
  private static func token(_ cluster: TestCluster, _ words: String...) throws -> String {
    let made = try cluster.stint(["create", "token"] + words)
    try check(made.status == 0 && made.text.hasSuffix("\n"), made.text)
    return String(made.text.dropLast())
  }

  @Test(
    "create token makes one as kubectl does; the client shows a kubeconfig's, read anew, and is told when it is void"
  )
  func client() async throws {
    try await Blocking.run {
      try TestCluster.with(agents: 1) { cluster in
        let authority = "\(cluster.directory)/authority"
        let access = try KubeconfigSource.file(cluster.kubeconfig).read()
        try Files.writeAtomically(authority, try found(access.authority, "authority"))
        try cluster.apply(["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "robot"]])
        let token = try Self.token(cluster, "robot", "--duration", "20m")
        let claims = try found(JSONWebToken(token)?.claims, "claims")
        try checkEqual(
          (claims["exp"]?.intValue ?? 0) - (claims["iat"]?.intValue ?? 0), 1_200, "seconds of the token's life")
        let vault = try Self.token(cluster, "robot", "--audience", "vault", "--audience=b")
        try checkEqual(JSONWebToken(vault)?.claims["aud"], ["vault", "b"], "audiences")
        let none = try cluster.stint("create", "token", "nobody", "-n", "default")
        try checkEqual(none.text, "error: failed to create token: serviceaccounts \"nobody\" not found\n", "no account")
        let short = try cluster.stint("create", "token", "robot", "--duration", "1m")
        try check(
          short.status == 1 && short.text.contains("may not specify a duration less than 10 minutes"), short.text)
        try Files.writeAtomically("\(cluster.directory)/token", Array(token.utf8))
        let file = "\(cluster.directory)/robot.kubeconfig"
        let config: JSON = [
          "apiVersion": "v1", "kind": "Config", "current-context": "c",
          "clusters": [
            [
              "name": "c",
              "cluster": [
                "server": "https://127.0.0.1:1", "certificate-authority": .string(authority),
                "extensions": [["name": "stint", "extension": ["native": .string(cluster.server)]]],
              ],
            ]
          ], "users": [["name": "u", "user": ["tokenFile": "token"]]],
          "contexts": [["name": "c", "context": ["cluster": "c", "user": "u"]]],
        ]
        try Files.writeAtomically(file, config.bytes)
        let refused = try cluster.stint("get", "jobs", "--kubeconfig", file)
        try check(refused.text.contains("User \"system:serviceaccount:default:robot\" cannot list"), refused.text)
        try cluster.must("delete", "serviceaccount", "robot")
        let gone = try cluster.stint("get", "jobs", "--kubeconfig", file)
        try check(gone.status != 0 && gone.text.contains("serviceaccounts \"robot\" not found"), gone.text)
        try check(!gone.text.contains(token.suffix(40)), "the token is told")
      }
    }
  }
}
