// Owns: which kubeconfig files count and what one context of them says: addresses, authority, identity, namespace.
// It must not know how connections are made, nor what an identity may do.

import ClusterIO
import ClusterProto
import Coordinator
import Glibc
import Synchronization

/// Where a kubeconfig is looked for.
enum KubeconfigSource: Equatable {
  /// `--kubeconfig`: this one.
  case file(String)
  /// `KUBECONFIG`: all that are there, as one.
  case list([String])
  /// `~/.kube/config` where its context is a cluster of ours, else that of `stint up`, else the pod's own account.
  case usual(home: String?, up: String, pod: PodConfig?)

  /// From the flag, then the environment. `account`: where a pod has its account's token.
  init(flag: String?, environment: [String: String], account: String = PodConfig.usualFolder) {
    let named = (environment["KUBECONFIG"] ?? "").split(separator: ":").map(String.init)
    if let flag {
      self = .file(flag)
    } else if !named.isEmpty {
      self = .list(named)
    } else {
      let home = environment["HOME"].flatMap { $0.hasPrefix("/") ? "\($0)/.kube/config" : nil }
      self = .usual(
        home: home, up: "\(Endpoint.dataDirectory(environment))/coordinator/admin.kubeconfig",
        pod: PodConfig(environment, folder: account))
    }
  }

  /// What the context `name`, or the current one, says.
  func read(context name: String? = nil) throws(CommandError) -> KubeconfigContext {
    switch self {
    case .file(let path): return try Kubeconfig(files: [path], namedBy: "--kubeconfig").context(name)
    case .list(let paths): return try Kubeconfig(files: paths, namedBy: "KUBECONFIG").context(name)
    case .usual(let home, let up, let pod):
      var problem: CommandError?
      if let home, Files.exists(home) {
        do throws(CommandError) {
          let found = try Kubeconfig(files: [home]).context(name)
          if found.native != nil || name != nil { return found }
          problem = CommandError(
            "error: context \(JSON.string(found.name).text) of \(home) is no cluster of Stint's, and there is no "
              + "kubeconfig \(up): \(Kubeconfig.advice)")
        } catch {
          problem = error
        }
      }
      if !Files.exists(up) {
        // As kubectl does: a file that is there counts, whatever it says.
        if let pod, name == nil, problem == nil { return try pod.context() }
        if let problem { throw problem }
      }
      return try Kubeconfig(files: [up]).context(name)
    }
  }
}

/// Files put together as kubectl does it: of two entries with one name the earlier file's counts.
struct Kubeconfig {
  /// An entry and the file that holds it: relative paths in it start there.
  private struct Entry {
    var body: JSON
    var file: String
  }

  private let files: [String]
  private var clusters: [String: Entry] = [:]
  private var users: [String: Entry] = [:]
  private var contexts: [String: Entry] = [:]
  private var current: String?
  private static let limit = 4 << 20
  static let advice = "start a cluster with `stint up`, or name the file with --kubeconfig or KUBECONFIG"

  /// Reads those that are there, of which there must be one. `namedBy`: the flag or variable that names them; nil: they
  /// are looked for where they usually are.
  init(files paths: [String], namedBy: String? = nil) throws(CommandError) {
    var found: [(file: String, bytes: [UInt8])] = []
    for path in paths where !found.contains(where: { $0.file == path }) {
      do throws(IOError) {
        found.append((path, try Self.bytes(path)))
      } catch {
        guard error.code == ENOENT else {
          let namer = namedBy.map { " (\($0) names it)" } ?? ""
          throw CommandError("error: the kubeconfig \(path) cannot be read: \(error.message)\(namer)")
        }
      }
    }
    files = found.map(\.file)
    guard !found.isEmpty else {
      let namer = namedBy.map { ", though \($0) names it" } ?? ""
      throw CommandError("error: there is no kubeconfig \(paths.joined(separator: ", "))\(namer): \(Kubeconfig.advice)")
    }
    for (file, bytes) in found { try add(bytes, of: file) }
  }

  /// What came through pipes: a command reads its kubeconfig more than once, and a pipe gives it once.
  private static let piped = Mutex<[String: [UInt8]]>([:])

  private static func bytes(_ path: String) throws(IOError) -> [UInt8] {
    let isPipe = (try? Files.status(path)).map { $0.mode & UInt32(S_IFMT) == UInt32(S_IFIFO) } ?? false
    if isPipe, let known = piped.withLock({ $0[path] }) { return known }
    let bytes = try Files.read(path, limit: limit, from: .fileOrPipe)
    if isPipe { piped.withLock { $0[path] = bytes } }
    return bytes
  }

  private mutating func add(_ bytes: [UInt8], of file: String) throws(CommandError) {
    let documents: [JSON]
    do throws(YAMLError) {
      documents = try YAML.documents(bytes)
    } catch {
      throw CommandError("error: the kubeconfig \(file) cannot be read: \(error.message)")
    }
    guard let body = documents.first else { return }
    guard documents.count == 1, body.objectValue != nil else {
      throw CommandError("error: the kubeconfig \(file) is not one YAML object of kind Config")
    }
    if let kind = body["kind"]?.stringValue, kind != "Config" {
      throw CommandError("error: the kubeconfig \(file) holds an object of kind \(kind), not Config")
    }
    if current == nil, let name = body["current-context"]?.stringValue, !name.isEmpty { current = name }
    try Kubeconfig.merge(&clusters, body, list: "clusters", member: "cluster", file)
    try Kubeconfig.merge(&users, body, list: "users", member: "user", file)
    try Kubeconfig.merge(&contexts, body, list: "contexts", member: "context", file)
  }

  private static func merge(
    _ entries: inout [String: Entry], _ body: JSON, list: String, member: String, _ file: String
  ) throws(CommandError) {
    for (index, item) in (body[list]?.arrayValue ?? []).enumerated() {
      guard let name = item["name"]?.stringValue, !name.isEmpty else {
        throw CommandError("error: the kubeconfig \(file): \(list)[\(index)] has no name")
      }
      if entries[name] == nil { entries[name] = Entry(body: item[member] ?? [:], file: file) }
    }
  }

  /// What the context `wanted` says, or the current one.
  func context(_ wanted: String? = nil) throws(CommandError) -> KubeconfigContext {
    let (looked, known) = (files.joined(separator: ", "), contexts.keys.sorted().joined(separator: ", "))
    guard let name = wanted ?? current else {
      throw CommandError(
        known.isEmpty
          ? "error: the kubeconfig \(looked) is empty or holds no context: write it anew (stint kubeconfig, stint user "
            + "create), or \(Kubeconfig.advice)"
          : "error: the kubeconfig \(looked) has no current-context: choose one with --context (there are: \(known))")
    }
    guard let context = contexts[name] else {
      throw CommandError(
        "error: context \"\(name)\" does not exist in \(looked)" + (known.isEmpty ? "" : " (there are: \(known))"))
    }
    let subject = "the kubeconfig \(context.file): context \"\(name)\""
    let clusterName = context.body["cluster"]?.stringValue ?? ""
    guard !clusterName.isEmpty else { throw CommandError("error: \(subject) names no cluster") }
    guard let cluster = clusters[clusterName] else {
      throw CommandError("error: \(subject) names the cluster \"\(clusterName)\", which is in none of the files")
    }
    var result = KubeconfigContext(name: name, file: context.file, clusterName: clusterName)
    if let space = context.body["namespace"]?.stringValue, !space.isEmpty { result.namespace = space }
    result.server = cluster.body["server"]?.stringValue
    result.native = Kubeconfig.native(cluster.body)
    let ofCluster = "the kubeconfig \(cluster.file): cluster \"\(clusterName)\""
    result.authority = try Kubeconfig.content(cluster, "certificate-authority", ofCluster)
    result.userName = context.body["user"]?.stringValue ?? ""
    guard !result.userName.isEmpty else { return result }
    guard let user = users[result.userName] else {
      throw CommandError("error: \(subject) names the user \"\(result.userName)\", which is in none of the files")
    }
    try Kubeconfig.identify(&result, user, "the kubeconfig \(user.file): user \"\(result.userName)\"")
    return result
  }

  private static func identify(
    _ result: inout KubeconfigContext, _ user: Entry, _ subject: String
  ) throws(CommandError) {
    let certificate = try content(user, "client-certificate", subject)
    let key = try content(user, "client-key", subject)
    if let keeper = keeper(of: user), let exposure = PrivateFiles.exposure(of: keeper.secret, in: keeper.file) {
      result.exposures.append(exposure)
    }
    switch (certificate, key) {
    case (let certificate?, let key?): result.certificate = PEMIdentity(certificate: certificate, key: key)
    case (_?, nil): throw CommandError("error: \(subject) has a client-certificate, but no client-key")
    case (nil, _?): throw CommandError("error: \(subject) has a client-key, but no client-certificate")
    case (nil, nil): break
    }
    if let path = user.body["tokenFile"]?.stringValue, !path.isEmpty {
      let bytes = try read(path, beside: user.file, "\(subject): tokenFile")
      result.token = trimmed(String(decoding: bytes, as: UTF8.self))
      if result.token?.isEmpty == true { throw CommandError("error: \(subject): tokenFile \(path) is empty") }
    } else if let token = user.body["token"]?.stringValue, !token.isEmpty {
      result.token = token
    }
  }

  /// Which file holds the user's key or token itself. One that only names a token's file is nobody's secret, and such
  /// a file's permissions are its maker's, as in a pod.
  private static func keeper(of user: Entry) -> (secret: String, file: String)? {
    func isSet(_ field: String) -> Bool { user.body[field]?.stringValue?.isEmpty == false }
    if isSet("client-key-data") { return ("a key", user.file) }
    if let path = user.body["client-key"]?.stringValue, !path.isEmpty { return ("a key", whole(path, user.file)) }
    return isSet("token") ? ("a token", user.file) : nil
  }

  private static func whole(_ path: String, _ file: String) -> String {
    path.hasPrefix("/") ? path : "\(Files.split(file).parent)/\(path)"
  }

  /// `FIELD-data` decoded, else the file that `FIELD` names, else nil.
  private static func content(_ entry: Entry, _ field: String, _ subject: String) throws(CommandError) -> [UInt8]? {
    if let data = entry.body["\(field)-data"]?.stringValue, !data.isEmpty {
      guard let bytes = Base64.decode(data) else {
        throw CommandError("error: \(subject): \(field)-data is not base64")
      }
      return bytes
    }
    guard let path = entry.body[field]?.stringValue, !path.isEmpty else { return nil }
    return try read(path, beside: entry.file, "\(subject): \(field)")
  }

  private static func read(_ path: String, beside file: String, _ subject: String) throws(CommandError) -> [UInt8] {
    let whole = whole(path, file)
    do throws(IOError) {
      return try Files.read(whole, limit: limit)
    } catch {
      throw CommandError("error: \(subject) \(whole): \(error.message)")
    }
  }

  /// The address in the cluster entry's extension `stint`.
  private static func native(_ cluster: JSON) -> String? {
    let address = (cluster["extensions"]?.arrayValue ?? []).first { $0["name"] == "stint" }?[
      path: ["extension", "native"]]
    return address?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
  }

  private static func trimmed(_ text: String) -> String {
    var rest = text[...]
    while let first = rest.first, first.isWhitespace { rest.removeFirst() }
    while let last = rest.last, last.isWhitespace { rest.removeLast() }
    return String(rest)
  }
}

/// One context, resolved: where, as whom, in which namespace.
struct KubeconfigContext {
  let name: String
  /// The file that holds the context.
  let file: String
  /// The name of its cluster's entry.
  let clusterName: String
  /// The name of its user's entry; empty: none.
  var userName = ""
  var namespace = "default"
  /// The URL of the Kubernetes API.
  var server: String?
  /// The address of the native protocol, `HOST:PORT`; nil for a cluster that is none of Stint's.
  var native: String?
  /// Whom to trust, PEM.
  var authority: [UInt8]?
  /// The client's certificate and key, PEM.
  var certificate: PEMIdentity?
  /// A bearer token.
  var token: String?
  /// That others may read the key or the token, with what to do.
  var exposures: [String] = []

  /// The native address, or what is missing.
  func nativeAddress() throws(CommandError) -> String {
    if let native { return native }
    throw CommandError(
      "error: the kubeconfig \(file): the cluster of context \"\(name)\" has no extension `stint` with a native "
        + "address: write the file anew with `stint kubeconfig`, choose another context with --context, or say where "
        + "the coordinator is with --server or STINT_SERVER")
  }

  /// How one proves who one is, and whom one believes; or what is missing.
  func proof() throws(CommandError) -> ClientProof {
    guard let authority else {
      throw CommandError("error: the kubeconfig \(file): cluster \"\(clusterName)\" has no certificate-authority")
    }
    if let certificate { return .certificate(Identity(own: certificate, authority: authority)) }
    if let token {
      guard token.utf8.count <= JSONWebToken.limit else {
        throw CommandError(
          "error: the kubeconfig \(file): the token of user \"\(userName)\" has \(token.utf8.count) bytes, and a "
            + "service account's has at most \(JSONWebToken.limit)")
      }
      return .token(token, authority: authority)
    }
    let user =
      userName.isEmpty
      ? "context \"\(name)\" has no user" : "user \"\(userName)\" has no client-certificate and no token"
    throw CommandError("error: the kubeconfig \(file): \(user): the native port takes these two")
  }
}

/// What a client shows of itself.
enum ClientProof: Equatable {
  case certificate(Identity)
  /// A bearer token, said in the hello.
  case token(String, authority: [UInt8])

  /// What its connections are secured by, and the hello on them.
  /// `stream`: of which stream into a pod they are; empty: of none.
  func opening(stream: String = "") throws(IOError) -> (tls: TLSContext, handshake: HandshakeClient) {
    let role: ProtocolRole = stream.isEmpty ? .client : .stream
    return switch self {
    case .certificate(let identity):
      (try TLSContext(native: identity), HandshakeClient(role: role, stream: stream))
    case .token(let token, let authority):
      (try TLSContext(bearer: authority), HandshakeClient(role: role, stream: stream, token: token))
    }
  }
}
