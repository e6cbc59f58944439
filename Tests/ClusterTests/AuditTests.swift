// What the audit says of a scripted run on real processes, and that nothing secret is where it has no place.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("The audit, and what is secret")
struct AuditTests {
  /// `deed=… who=…` and the text of each line of the audit; each has where it came from.
  private static func lines(_ log: String) throws -> [(text: String, deed: String, who: String, from: String)] {
    try log.split(separator: "\n").filter { $0.contains(" level=audit ") }.map { line in
      func value(_ name: String) -> String? {
        guard let start = line.firstRange(of: " \(name)=")?.upperBound else { return nil }
        return String(line[start...].prefix { $0 != " " })
      }
      guard let deed = value("deed"), let who = value("who"), let from = value("from"),
        let text = line.split(separator: "msg=", maxSplits: 1).last
      else { throw Failure("not the audit's form: \(line)") }
      return (String(text), deed, who, from)
    }
  }

  @Test(
    "each join, refusal, delete and revoke of a scripted run is one line with who, from where and what; no secret is")
  func scriptedRun() throws {
    try TestCluster.with(agents: 1) { cluster in
      var secrets: [String] = ["c3VwZXItc2VjcmV0LXZhbHVl", "super-secret-value"]
      let made = try cluster.stint("user", "create", "alice", "--group", "devs")
      let file = "\(cluster.directory)/alice.kubeconfig"
      try Files.writeAtomically(file, Array(made.text.utf8), mode: 0o600)
      let alice = try found(KubeconfigSource.file(file).read().certificate, "alice's certificate")
      secrets += try Self.keys(cluster) + [Self.middle(alice.key)]
      let token = try cluster.stint("token", "create").text.split(whereSeparator: \.isWhitespace)
      let line = String(try found(token.first { $0.hasPrefix("stint1.") }, "the join token"))
      secrets.append(String(try found(line.split(separator: ".").last, "the join token's secret")))
      // Shown by its holder, good and then no more: whoever has a part of it has nothing, but its end is the signature.
      let bearer = String(try cluster.stint("create", "token", "default").text.dropLast())
      try check(bearer.hasPrefix("eyJ") && bearer.utf8.count > 200, "no token: \(bearer.prefix(40))")
      secrets.append(String(bearer.suffix(40)))
      let robot = try Self.bearerConfig(cluster, bearer)
      _ = try cluster.stint("get", "jobs", "--kubeconfig", robot)
      try cluster.join("node-2", line)
      try eventually("node-2 is Ready") { try cluster.isReady("node-2") }
      try cluster.apply(
        [
          "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"],
          "stringData": ["a": .string("super-secret-value")],
        ])
      try cluster.apply(Self.job)
      try eventually("the Job is complete", seconds: 60) { try cluster.status("uses-secret", "succeeded") == 1 }
      _ = try cluster.stint("delete", "job", "uses-secret", "--kubeconfig", file)
      let running = Self.commandLines(cluster)
      try cluster.must("delete", "job", "uses-secret")
      try cluster.must("delete", "secret", "s", "--wait=false")
      try cluster.must("user", "revoke", "alice")
      _ = try cluster.stint("get", "jobs", "--kubeconfig", file)
      let events = try cluster.stint("get", "events", "-A", "-o", "json").text

      var log = ""
      try eventually("the last refusal is in the log") {
        log = cluster.coordinator?.text ?? ""
        return log.contains("was revoked at")
      }
      let lines = try Self.lines(log)
      func expect(_ deed: String, _ who: String, _ text: String, at location: SourceLocation = #_sourceLocation) {
        let found = lines.filter { $0.deed == deed && $0.who == who && $0.text.contains(text) }
        #expect(found.count == 1, "\(deed) \(who) \(text): \(lines)", sourceLocation: location)
        #expect(found.allSatisfy { $0.from.hasPrefix("127.0.0.1:") }, "\(found)", sourceLocation: location)
      }
      expect("user", "admin", "user alice created for 7776000 s, groups [\\\"devs\\\"]")
      expect("refusal", "alice", "User \\\"alice\\\" cannot ")
      expect("token", "admin", "join token ")
      expect("token", "admin", "token of service account default/default for 3600 s")
      expect("refusal", "system:serviceaccount:default:default", "cannot list resource \\\"jobs\\\"")
      expect("join", "system:node:node-2", "joined by join token ")
      expect("delete", "admin", "delete jobs.batch default/uses-secret")
      expect("delete", "admin", "delete secrets default/s")
      expect("revoke", "admin", "user alice revoked")
      expect("refusal", "alice", "was revoked at ")

      let journals = Self.files("\(cluster.directory)/agents").filter { !$0.contains("/identity/") }
      let stores = Self.files("\(cluster.directory)/coordinator").filter {
        !$0.contains("/pki/") && !$0.hasSuffix(".kubeconfig")
      }
      let logs = Self.files("\(cluster.directory)/logs")
      #expect(!journals.isEmpty && !stores.isEmpty && logs.count > 3 && running.count > 2)
      for secret in secrets {
        #expect(!running.contains { $0.contains(secret) } && !events.contains(secret), "\(secret.prefix(6))…")
        // The answers to `user create` and `token create` are what was asked for; those clients' output is a file here.
        for path in logs
        where !Self.holds(path, "client-key-data") && !Self.holds(path, "stint agent --join stint1.")
          && (try? Files.read(path)) != Array("\(bearer)\n".utf8)
        {
          #expect(!Self.holds(path, secret), "\(path) holds \(secret.prefix(6))…")
        }
      }
      // The values of Secrets are what the store and the keepers' journals are for; keys of identities are not.
      for secret in secrets.dropFirst(2) {
        for path in stores + journals { #expect(!Self.holds(path, secret), "\(path) holds a key") }
      }
    }
  }

  /// A kubeconfig of who has nothing but that token; the path.
  private static func bearerConfig(_ cluster: TestCluster, _ token: String) throws -> String {
    let authority = try found(KubeconfigSource.file(cluster.kubeconfig).read().authority, "authority")
    let config: JSON = [
      "apiVersion": "v1", "kind": "Config", "current-context": "c",
      "clusters": [
        [
          "name": "c",
          "cluster": [
            "server": "https://127.0.0.1:1", "certificate-authority-data": .string(Base64.encode(authority)),
            "extensions": [["name": "stint", "extension": ["native": .string(cluster.server)]]],
          ],
        ]
      ], "users": [["name": "u", "user": ["token": .string(token)]]],
      "contexts": [["name": "c", "context": ["cluster": "c", "user": "u"]]],
    ]
    let path = "\(cluster.directory)/robot.kubeconfig"
    try Files.writeAtomically(path, config.bytes, mode: 0o600)
    return path
  }

  private static let job: JSON = [
    "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "uses-secret"],
    "spec": [
      "template": [
        "spec": [
          "restartPolicy": "Never",
          "containers": [
            [
              "name": "main", "image": "host", "command": ["sh", "-c", "test -n \"$A\""],
              "env": [["name": "A", "valueFrom": ["secretKeyRef": ["name": "s", "key": "a"]]]],
            ]
          ],
        ]
      ]
    ],
  ]

  /// The middle of a key's text: without the lines that all keys have.
  private static func middle(_ key: [UInt8]) -> String {
    String(decoding: key, as: UTF8.self).split(separator: "\n").dropFirst().first.map(String.init) ?? "no key"
  }

  /// Of the authority, the server, the administrator and the node.
  private static func keys(_ cluster: TestCluster) throws -> [String] {
    let pki = ["authority", "server", "admin"].map { "\(cluster.directory)/coordinator/pki/\($0).pem" }
    let nodes = files("\(cluster.directory)/agents").filter { $0.hasSuffix("/identity/identity.pem") }
    #expect(nodes.count >= 1)
    return try (pki + nodes).map { path in
      guard let found = try PEMIdentity(file: path) else { throw Failure("no key in \(path)") }
      return middle(found.key)
    }
  }

  /// Every regular file below `path`.
  static func files(_ path: String) -> [String] {
    ((try? Files.list(path)) ?? []).flatMap { name -> [String] in
      let whole = "\(path)/\(name)"
      var status = stat()
      guard lstat(whole, &status) == 0 else { return [] }
      if status.st_mode & S_IFMT == S_IFDIR { return files(whole) }
      return status.st_mode & S_IFMT == S_IFREG ? [whole] : []
    }
  }

  private static func holds(_ path: String, _ text: String) -> Bool {
    guard let bytes = try? Files.read(path) else { return false }
    let wanted = Array(text.utf8)
    return bytes.withUnsafeBytes { bytes in
      var start = 0
      while start + wanted.count <= bytes.count, let base = bytes.baseAddress,
        let found = memchr(base + start, Int32(wanted[0]), bytes.count - start - wanted.count + 1)
      {
        start = base.distance(to: UnsafeRawPointer(found))
        if memcmp(base + start, wanted, wanted.count) == 0 { return true }
        start += 1
      }
      return false
    }
  }

  /// What every local user may read of the cluster's processes.
  private static func commandLines(_ cluster: TestCluster) -> [String] {
    Processes.mentioning(cluster.directory).map {
      String(decoding: (try? Files.read("/proc/\($0.pid)/cmdline")) ?? [], as: UTF8.self)
    }
  }
}
