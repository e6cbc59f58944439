// What the client reads of kubeconfig files: which count, what a context comes to, and what is said of broken ones.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc
import Testing

@testable import stint

@Suite("A kubeconfig is read as kubectl reads it")
struct KubeconfigTests {
  /// Runs `body` with a folder of its own.
  private func inFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/stint-kubeconfig-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { try? Files.removeTree(folder) }
    try body(folder)
  }

  private func write(_ path: String, _ text: String) throws {
    try Files.writeAtomically(path, Array(text.utf8), mode: 0o600)
  }

  private func config(_ name: String, cluster: String = "", user: String = "") -> String {
    """
    apiVersion: v1
    kind: Config
    clusters:
    - {name: \(name), cluster: {server: "https://\(name):1"\(cluster)}}
    users:
    - {name: \(name), user: {\(user)}}
    contexts:
    - {name: \(name), context: {cluster: \(name), user: \(name), namespace: of-\(name)}}
    current-context: \(name)
    """
  }

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch {
      return (error as? CommandError)?.message ?? "\(error)"
    }
  }

  @Test("a token that is longer than any is told before a connection is made")
  func longToken() throws {
    try inFolder { folder in
      for (length, isTooLong) in [(8_192, false), (8_193, true), (100_000, true)] {
        let authority = Base64.encode(Array("authority".utf8))
        try write(
          "\(folder)/config",
          config(
            "c", cluster: ", certificate-authority-data: \(authority)",
            user: "token: \(String(repeating: "a", count: length))"))
        let text = message { _ = try KubeconfigSource.file("\(folder)/config").read().proof() }
        let words = "the token of user \"c\" has \(length) bytes, and a service account's has at most 8192"
        #expect(text.contains(words) == isTooLong && text.isEmpty != isTooLong, "\(text)")
      }
    }
  }

  @Test("the administrator's, as `stint kubeconfig` writes it, gives the native address and the identity")
  func administrator() throws {
    try inFolder { folder in
      let pki = try PKI(directory: folder, host: "localhost")
      let text = try PKI.kubeconfig(
        directory: folder, cluster: "0123456789abcdef", server: "https://127.0.0.1:7480", native: "[::1]:7420")
      try write("\(folder)/config", text)
      let context = try KubeconfigSource.file("\(folder)/config").read()
      let (native, proof) = (try context.nativeAddress(), try context.proof())
      #expect(native == "[::1]:7420")
      #expect(context.server == "https://127.0.0.1:7480")
      #expect(proof == .certificate(Identity(own: pki.administrator, authority: pki.authority.certificate)))
      #expect(
        context.name == "admin@stint-01234567" && context.clusterName == "stint-01234567"
          && context.namespace == "default" && context.token == nil)
    }
  }

  @Test("of several files the first one's current context and entries count, and missing files are passed over")
  func several() throws {
    try inFolder { folder in
      try write("\(folder)/a", config("one", user: "token: first"))
      try write("\(folder)/b", config("one", user: "token: second"))
      try write("\(folder)/c", config("two", user: "token: third"))
      let list = ["KUBECONFIG": "\(folder)/none::\(folder)/a:\(folder)/b:\(folder)/c", "HOME": "/nowhere"]
      let source = KubeconfigSource(flag: nil, environment: list)
      let (first, second) = (try source.read(), try source.read(context: "two"))
      #expect(first.token == "first" && first.namespace == "of-one")
      #expect(second.token == "third" && second.namespace == "of-two")
      let flagged = try KubeconfigSource(flag: "\(folder)/c", environment: list).read()
      #expect(flagged.name == "two")
      // An entry may be in another file than what names it, as where one file a cluster is kept.
      try write("\(folder)/d", "contexts: [{name: d, context: {cluster: one, user: two}}]\ncurrent-context: d")
      let mixed = try KubeconfigSource.list(["d", "b", "c"].map { "\(folder)/\($0)" }).read()
      #expect(mixed.server == "https://one:1" && mixed.token == "third")
    }
  }

  @Test("without KUBECONFIG it is HOME's where its context is a cluster of ours, else that of `stint up`")
  func usual() throws {
    try inFolder { home in
      let source = KubeconfigSource(flag: nil, environment: ["HOME": home])
      let own = "\(home)/.local/share/stint/coordinator"
      let ours = ", extensions: [{name: stint, extension: {native: \"h:1\"}}]"
      #expect(message { _ = try source.read() }.hasPrefix("error: there is no kubeconfig \(own)/admin.kubeconfig: "))
      try Files.makeDirectory("\(home)/.kube", mode: 0o700)
      try write("\(home)/.kube/config", config("work"))
      let foreign = message { _ = try source.read() }
      #expect(
        foreign.hasPrefix(
          "error: context \"work\" of \(home)/.kube/config is no cluster of Stint's, and there is no kubeconfig \(own)")
      )
      try Files.makeDirectory(own, mode: 0o700)
      try write("\(own)/admin.kubeconfig", config("up", cluster: ours))
      let (up, chosen) = (try source.read(), try source.read(context: "work"))
      #expect(up.name == "up" && chosen.name == "work")
      try write("\(home)/.kube/config", "a: [")
      let despite = try source.read()
      #expect(despite.name == "up")
      try write("\(home)/.kube/config", config("home", cluster: ours))
      let found = try source.read()
      #expect(found.name == "home" && found.native == "h:1")
    }
  }

  @Test("in a pod it is the pod's own account, where no kubeconfig is found")
  func pod() throws {
    try inFolder { home in
      let variables = ["HOME": home, "KUBERNETES_SERVICE_HOST": "fd00::1", "STINT_SERVICE_PORT": "7421"]
      let account = "\(home)/account"
      func source(_ variables: [String: String]) -> KubeconfigSource {
        KubeconfigSource(flag: nil, environment: variables, account: account)
      }
      #expect(message { _ = try source(variables).read() }.hasPrefix("error: there is no kubeconfig "))
      try Files.makeDirectory(account, mode: 0o700)
      try write("\(account)/token", "t0ken\n")
      #expect(message { _ = try source(variables).read() }.contains("\(account)/ca.crt"))
      try write("\(account)/ca.crt", "PEM")
      try write("\(account)/namespace", "work")
      let found = try source(variables).read()
      #expect(found.native == "[fd00::1]:7421" && found.namespace == "work" && found.token == "t0ken")
      #expect(try found.proof() == .token("t0ken", authority: Array("PEM".utf8)))
      let older = try source(["HOME": home, "KUBERNETES_SERVICE_HOST": "10.0.0.1"]).read()
      #expect(older.native == "10.0.0.1:7420")
      #expect(message { _ = try source(["HOME": home]).read() }.hasPrefix("error: there is no kubeconfig "))
      #expect(message { _ = try source(variables).read(context: "x") }.hasPrefix("error: there is no kubeconfig "))
      try Files.makeDirectory("\(home)/.kube", mode: 0o700)
      try write(
        "\(home)/.kube/config", config("home", cluster: ", extensions: [{name: stint, extension: {native: \"h:1\"}}]"))
      #expect(try source(variables).read().name == "home")
    }
  }

  @Test("the namespace is the flag's, else the context's; the context is the flag's, else the current one")
  func namespaces() throws {
    try inFolder { folder in
      let text = config("one") + "\n"
      try write("\(folder)/a", text)
      try write("\(folder)/b", config("two"))
      func namespace(_ more: [String]) throws -> String {
        let arguments = try Arguments.parse(["get", "jobs"] + more, commands: CommandTable.all)
        let context = Context(
          arguments: arguments, environment: ["KUBECONFIG": "\(folder)/a:\(folder)/b"],
          console: Console(out: { _ in }, err: { _ in }), makeCluster: NativeClient.makeCluster)
        return context.namespace
      }
      #expect(try namespace([]) == "of-one")
      #expect(try namespace(["--context", "two"]) == "of-two")
      #expect(try namespace(["--context", "two", "-n", "x"]) == "x")
      #expect(try namespace(["--context", "none"]) == "default")
      #expect(try namespace(["--kubeconfig", "\(folder)/none"]) == "default")
    }
  }

  @Test("paths start at the file that names them, data goes before paths, and a token's file before the token")
  func paths() throws {
    try inFolder { folder in
      try write("\(folder)/ca", "authority")
      try write("\(folder)/crt", "certificate")
      try write("\(folder)/key", "key")
      try write("\(folder)/token", " from-file\n")
      let user = "client-certificate: crt, client-key: \(folder)/key, client-certificate-data: eA==, "
      try write(
        "\(folder)/config",
        config("x", cluster: ", certificate-authority: ca", user: user + "token: inline, tokenFile: token"))
      let context = try KubeconfigSource.file("\(folder)/config").read()
      #expect(context.authority == Array("authority".utf8))
      #expect(context.certificate == PEMIdentity(certificate: Array("x".utf8), key: Array("key".utf8)))
      #expect(context.token == "from-file")
    }
  }

  @Test("that others may read the key or the token is told with the file that holds it and the command")
  func exposed() throws {
    try inFolder { folder in
      let file = "\(folder)/config"
      func told(_ user: String, _ mode: mode_t) throws -> [String] {
        try write(file, config("x", user: user))
        chmod(file, mode)
        return try KubeconfigSource.file(file).read().exposures
      }
      let pair = "client-certificate-data: eA==, client-key-data: eA=="
      #expect(try told(pair, 0o600) == [])
      let words = "and others than its owner may use it (mode 0644): chmod 600 \(file)"
      #expect(try told(pair, 0o644) == ["\(file) holds a key, \(words)"])
      #expect(try told("token: t", 0o644) == ["\(file) holds a token, \(words)"])
      #expect(try told(pair, 0o640).count == 1)
      // The file names the secret's place alone.
      try write("\(folder)/key", "key")
      let paths = "client-certificate-data: eA==, client-key: key"
      #expect(try told(paths, 0o644) == [])
      chmod("\(folder)/key", 0o604)
      #expect(
        try told(paths, 0o644)
          == ["\(folder)/key holds a key, and others than its owner may use it (mode 0604): chmod 600 \(folder)/key"])
      #expect(try told("", 0o644) == [])
    }
  }

  @Test("what is broken is told with its file, its context and what is missing")
  func broken() throws {
    try inFolder { folder in
      let file = "\(folder)/config"
      func told(_ text: String, _ context: String? = nil) -> String {
        message {
          try write(file, text)
          let found = try KubeconfigSource.file(file).read(context: context)
          _ = try found.nativeAddress()
          _ = try found.proof()
        }
      }
      let gone = message { _ = try KubeconfigSource.list(["\(folder)/none", "\(folder)/no"]).read() }
      #expect(
        gone.hasPrefix(
          "error: there is no kubeconfig \(folder)/none, \(folder)/no, though KUBECONFIG names it: start a cluster"))
      for nothing in ["", "# nothing\n", "{}", "kind: Config\ncontexts: []\ncurrent-context: \"\""] {
        #expect(
          told(nothing).hasPrefix("error: the kubeconfig \(file) is empty or holds no context: write it anew"),
          "\(nothing)")
      }
      let place = message { _ = try KubeconfigSource.list([folder]).read() }
      #expect(place == "error: the kubeconfig \(folder) cannot be read: Is a directory (KUBECONFIG names it)")
      #expect(
        told("contexts: [{name: c}]")
          == "error: the kubeconfig \(file) has no current-context: choose one with --context (there are: c)")
      #expect(told("a: [").hasPrefix("error: the kubeconfig \(file) cannot be read: "))
      #expect(told("- a") == "error: the kubeconfig \(file) is not one YAML object of kind Config")
      #expect(told("kind: Pod") == "error: the kubeconfig \(file) holds an object of kind Pod, not Config")
      #expect(told("users: [{user: {}}]") == "error: the kubeconfig \(file): users[0] has no name")
      #expect(
        told(config("x"), "y") == "error: context \"y\" does not exist in \(file) (there are: x)")
      let loose = "contexts: [{name: c, context: {cluster: k}}, {name: d}]\ncurrent-context: c"
      #expect(
        told(loose)
          == "error: the kubeconfig \(file): context \"c\" names the cluster \"k\", which is in none of the files")
      #expect(told(loose, "d") == "error: the kubeconfig \(file): context \"d\" names no cluster")
      #expect(told(config("x")).contains("context \"x\" has no extension `stint`"))
      #expect(
        told(config("x", user: "client-key-data: eA=="))
          == "error: the kubeconfig \(file): user \"x\" has a client-key, but no client-certificate")
      #expect(
        told(config("x", user: "client-certificate-data: \"*\""))
          == "error: the kubeconfig \(file): user \"x\": client-certificate-data is not base64")
      #expect(
        told(config("x", user: "tokenFile: none")).hasPrefix(
          "error: the kubeconfig \(file): user \"x\": tokenFile \(folder)/none: "))
      let ours = ", extensions: [{name: stint, extension: {native: \"h:1\"}}]"
      #expect(
        told(config("x", cluster: ours)) == "error: the kubeconfig \(file): cluster \"x\" has no certificate-authority")
      let known = ours + ", certificate-authority-data: AAAA"
      try write("\(folder)/bearer", "a.b.c\n")
      for user in ["token: a.b.c", "token: old, tokenFile: bearer"] {
        try write(file, config("x", cluster: known, user: user))
        let proof = try KubeconfigSource.file(file).read().proof()
        #expect(proof == .token("a.b.c", authority: [0, 0, 0]))
      }
      #expect(
        told(config("x", cluster: known))
          == "error: the kubeconfig \(file): user \"x\" has no client-certificate and no token: the native port takes "
          + "these two")
    }
  }

  /// A name of this machine that its own files know; nil where there is none.
  private static let ownName: String? = {
    var text = [CChar](repeating: 0, count: 256)
    guard gethostname(&text, text.count - 1) == 0 else { return nil }
    let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let hosts = String(decoding: (try? Files.read("/etc/hosts")) ?? [], as: UTF8.self)
    return hosts.split(whereSeparator: \.isWhitespace).contains(Substring(name)) ? name : nil
  }()

  @Test("a native address may have a name, as the coordinator's --advertise gives it", .enabled(if: ownName != nil))
  func name() throws {
    let name = try #require(Self.ownName)
    let found = try NameLookup.addresses(of: .tcp(host: name, port: 7))
    #expect(!found.isEmpty && found.allSatisfy { $0.isNumeric })
    let itself = try NameLookup.addresses(of: .tcp(host: "::1", port: 7))
    #expect(itself == [.tcp(host: "::1", port: 7)])
  }
}
