// `stint user` on a real coordinator: one kubeconfig that serves, lists that tell, and the end of what was revoked.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@testable import stint

@Suite("stint user")
struct UserCommandTests {
  @Test("create prints a kubeconfig whose user is known by both doors, list shows it, revoke ends it, restarts or not")
  func life() throws {
    try TestCluster.with(agents: 0) { cluster in
      let own = try KubeconfigSource.file(cluster.kubeconfig).read()
      let made = try cluster.stint(
        "user", "create", "alice", "--group", "devs", "-n", "team", "--ttl", "30d", "--context", own.name)
      try check(made.status == 0, made.text)
      let file = "\(cluster.directory)/alice.kubeconfig"
      try Files.writeAtomically(file, Array(made.text.utf8), mode: 0o600)
      let context = try KubeconfigSource.file(file).read()
      let native = try context.nativeAddress()
      #expect(context.name == "alice@\(own.clusterName)" && context.namespace == "team" && native == cluster.server)
      #expect(context.server?.hasPrefix("https://127.0.0.1:") == true)

      // Known, and without a role refused in Kubernetes' words, in the kubeconfig's own namespace.
      let refused = try cluster.stint("get", "jobs", "--kubeconfig", file)
      #expect(refused.status == 1)
      #expect(
        refused.text.contains(
          "jobs.batch is forbidden: User \"alice\" cannot list resource \"jobs\" in API group \"batch\" in the "
            + "namespace \"team\""), "\(refused)")
      let asks = try cluster.stint("user", "create", "mallory", "--kubeconfig", file)
      #expect(asks.status == 1 && asks.text.contains("users.stint \"mallory\" is forbidden"), "\(asks)")

      let list = try cluster.stint("user", "list").text.split(separator: "\n").map { $0.split(separator: " ") }
      #expect(list.first?.map(String.init) == ["NAME", "GROUPS", "STATUS", "CREATED", "EXPIRES", "BY"])
      #expect(list.last?.map(String.init).prefix(3) == ["alice", "devs", "Valid"] && list.last?.last == "admin")

      let revoked = try cluster.stint("user", "revoke", "alice", "nobody")
      #expect(revoked.status == 1 && revoked.text.contains("user alice revoked: 1 certificate"), "\(revoked)")
      #expect(revoked.text.contains("no certificate was made for a user \"nobody\""), "\(revoked)")
      let again = try cluster.stint("user", "revoke", "alice")
      #expect(again.status == 0 && again.text.contains("user alice was revoked already, at 20"), "\(again)")
      for isRestarted in [false, true] {
        if isRestarted {
          try cluster.coordinator?.killAndReap()
          try cluster.startCoordinator()
          try eventually("it serves again") { try cluster.stint("get", "nodes").status == 0 }
        }
        let gone = try cluster.stint("get", "jobs", "--kubeconfig", file)
        #expect(gone.status == 1 && gone.text.contains("the certificate of \"alice\" was revoked at "), "\(gone)")
      }
    }
  }

  @Test("--to writes what is secret for its owner alone whatever the umask, and a place that is no file costs nothing")
  func toFile() throws {
    try TestCluster.with(agents: 0) { cluster in
      // Of tests beside this one all files are given their modes.
      let before = umask(0o022)
      defer { umask(before) }
      let data = "\(cluster.directory)/coordinator"
      try Files.makeDirectory("\(cluster.directory)/there")
      try Files.writeAtomically("\(cluster.directory)/old", Array("old".utf8), mode: 0o644)
      guard symlink("old", "\(cluster.directory)/link") == 0 else { throw IOError.last("symlink") }
      let commands = [["user", "create", "bob"], ["kubeconfig", "--data", data], ["token", "create"]]
      for (command, name) in zip(commands, ["new", "link", "old"]) {
        let path = "\(cluster.directory)/\(name)"
        let made = try cluster.stint(command + ["--to", path])
        // Of the coordinator that only its own machine reaches.
        let lines = made.text.split(separator: "\n")
        #expect(made.status == 0 && lines.allSatisfy { $0.hasPrefix("Warning: the coord") }, "\(made)")
        #expect(try Files.status(path).mode & 0o777 == 0o600, "\(command)")
      }
      #expect(
        try Files.status("\(cluster.directory)/link", followLinks: false).mode & UInt32(S_IFMT) == UInt32(S_IFLNK))
      for (place, why) in [
        ("there", "is a directory"), ("no/file", "No such file"), ("/dev/null", "is a device"),
      ] {
        let path = place.hasPrefix("/") ? place : "\(cluster.directory)/\(place)"
        let made = try cluster.stint("user", "create", "carol", "--to", path)
        #expect(made.status == 1 && made.text.contains("error: --to \(path): ") && made.text.contains(why), "\(made)")
      }
      let list = try cluster.stint("user", "list").text
      #expect(list.contains("bob") && !list.contains("carol"), "\(list)")
    }
  }

  @Test("kubeconfigs of two clusters can be put together: each context is its own cluster's, by its own user")
  func together() throws {
    try TestCluster.with(agents: 0) { one in
      try TestCluster.with(agents: 0) { two in
        let files = [one.kubeconfig, two.kubeconfig]
        for (cluster, file) in zip([one, two], files) {
          let own = try KubeconfigSource.file(file).read()
          let made = try cluster.stint("user", "create", "alice", "--to", "\(cluster.directory)/alice")
          try check(made.status == 0, made.text)
          let alice = try KubeconfigSource.file("\(cluster.directory)/alice").read()
          let all = KubeconfigSource.list(files + [one, two].map { "\($0.directory)/alice" })
          for wanted in [own, alice] {
            let seen = try all.read(context: wanted.name)
            #expect(seen.native == cluster.server && seen.certificate == wanted.certificate)
          }
        }
      }
    }
  }

  @Test("create --role binds the role in the namespace that is given, else in all, and makes no user where it may not")
  func roles() throws {
    try TestCluster.with(agents: 0) { cluster in
      func made(_ name: String, _ words: String..., by file: String? = nil) throws -> String {
        let result = try cluster.stint(["user", "create", name] + words + (file.map { ["--kubeconfig", $0] } ?? []))
        try check(result.status == 0, result.text)
        let path = "\(cluster.directory)/\(name).kubeconfig"
        try Files.writeAtomically(path, Array(result.text.utf8), mode: 0o600)
        return path
      }
      func list(_ kind: String, _ namespace: String, by file: String) throws -> Int32 {
        try cluster.stint("get", kind, "-n", namespace, "--kubeconfig", file).status
      }
      let editor = try made("ed", "--role", "edit", "-n", "default")
      try checkEqual(list("jobs", "default", by: editor), 0, "an editor's list")
      try checkEqual(list("jobs", "kube-system", by: editor), 1, "an editor's list of another namespace")
      let viewer = try made("vi", "--role", "view")
      try checkEqual(list("jobs", "kube-system", by: viewer), 0, "a viewer's list of any namespace")
      try checkEqual(list("secrets", "default", by: viewer), 1, "a viewer's list of Secrets")
      // Again, with the binding there.
      _ = try made("vi", "--role", "view")

      // A binding of that name that is somebody else's is not taken for this user's.
      try cluster.must("delete", "clusterrolebinding", "vi:view")
      try cluster.apply([
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": ["name": "vi:view"],
        "roleRef": ["apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"],
        "subjects": [["apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "somebody"]],
      ])
      let taken = try cluster.stint("user", "create", "vi", "--role", "view")
      try check(taken.status == 1 && taken.text.contains("binds something else"), taken.text)

      let unknown = try cluster.stint("user", "create", "x", "--role", "emperor")
      try check(unknown.status == 1 && unknown.text.contains("there is no ClusterRole \"emperor\""), unknown.text)
      let asks = try cluster.stint("user", "create", "x", "--role", "admin", "--kubeconfig", editor)
      try check(asks.status == 1 && asks.text.contains("forbidden"), asks.text)
      try check(try !cluster.stint("user", "list").text.contains("\nx "), "a user was made")
    }
  }

  @Test("a kubeconfig with a service account's token serves stint too", .enabled(if: Files.exists("/usr/bin/kubectl")))
  func token() throws {
    try TestCluster.with(agents: 0) { cluster in
      func kubectl(_ words: String...) throws -> String {
        let output = "\(cluster.directory)/kubectl-\(words[0])"
        let program = try Program(
          words, path: "/usr/bin/kubectl",
          environment: ["KUBECONFIG=\(cluster.kubeconfig)", "HOME=\(cluster.directory)"], output: output)
        let status = try program.end(within: 60)
        try check(status == 0, program.text)
        return program.text
      }
      try eventually("the account is there") { try cluster.stint("get", "serviceaccounts", "default").status == 0 }
      let token = try kubectl("create", "token", "default")
      try Files.writeAtomically("\(cluster.directory)/token", Array(token.utf8), mode: 0o600)
      let admin = String(decoding: try Files.read(cluster.kubeconfig), as: UTF8.self)
      let lines = admin.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        if line.contains("client-key-data") { return "    tokenFile: token" }
        return line.contains("client-certificate-data") ? "" : String(line)
      }
      let file = "\(cluster.directory)/account.kubeconfig"
      try Files.writeAtomically(file, Array(lines.joined(separator: "\n").utf8), mode: 0o600)
      let refused = try cluster.stint("get", "jobs", "--kubeconfig", file)
      #expect(
        refused.status == 1 && refused.text.contains("User \"system:serviceaccount:default:default\" cannot list"),
        "\(refused)")
      try Files.writeAtomically("\(cluster.directory)/token", Array("forged.token.x".utf8), mode: 0o600)
      let forged = try cluster.stint("get", "jobs", "--kubeconfig", file)
      #expect(forged.status == 1 && forged.text.contains("refused"), "\(forged)")
    }
  }

  @Test("a kubeconfig made on the coordinator's own machine, which names loopback, has the coordinator's word instead")
  func places() {
    let made: JSON = ["native": "10.0.0.1:7420", "api": "https://10.0.0.1:7480"]
    let own = UserCommand.place(native: "127.0.0.1:7420", api: "https://127.0.0.1:7480", made)
    #expect(own == (native: "10.0.0.1:7420", api: "https://10.0.0.1:7480"))
    let other = UserCommand.place(native: "10.9.9.9:7420", api: "https://10.9.9.9:7480", made)
    #expect(other == (native: "10.9.9.9:7420", api: "https://10.9.9.9:7480"), "what works here is kept")
    let older = UserCommand.place(native: "127.0.0.1:7420", api: "https://127.0.0.1:7480", [:])
    #expect(older == (native: "127.0.0.1:7420", api: "https://127.0.0.1:7480"), "a coordinator that says nothing")
  }

  @Test("names of the system's own are refused, and so are words that mean nothing")
  func refusals() throws {
    try TestCluster.with(agents: 0) { cluster in
      for name in ["system:masters", "system:node:a", "admin", "a/b"] {
        let answer = try cluster.stint("user", "create", name)
        #expect(answer.status == 1 && answer.text.contains("user name \"\(name)\""), "\(answer)")
      }
      let group = try cluster.stint("user", "create", "alice", "--group", "system:masters")
      #expect(group.status == 1 && group.text.contains("which the cluster keeps for itself"), "\(group)")
      #expect(try cluster.stint("user", "list").text.contains("No users"))
      for words in [["user", "create"], ["user", "dance"], ["user", "revoke"], ["user", "list", "x"]] {
        #expect(try cluster.stint(words).status == 2)
      }
    }
  }

  @Test(
    "a time to live may be given in days", arguments: [("90d", 7_776_000_000), ("0d", 0), ("1d12h", nil), ("d", nil)])
  func days(text: String, milliseconds: Int64?) {
    #expect(DurationFlag.milliseconds(text) == milliseconds)
    #expect(DurationFlag.milliseconds("99999999999999999999d") == nil && DurationFlag.milliseconds("9999999d") == nil)
  }
}
