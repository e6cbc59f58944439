// Owns: `user`: certificates for people and programs: made as a kubeconfig, listed, taken back. It must not know who
// may ask, nor what roles allow.

import ClusterIO
import ClusterProto
import Coordinator

/// `stint user create NAME`, `list`, `revoke NAME…`.
enum UserCommand {
  @Sendable static func run(_ context: Context) throws -> Int32 {
    let words = context.arguments.words
    switch (words.first, words.count) {
    case ("create", 2): return try create(words[1], context)
    case ("list", 1): return try list(context)
    case ("revoke", 2...): return try revoke(Array(words.dropFirst()), context)
    case ("create", _), ("list", _), ("revoke", _):
      throw context.arguments.problem("it is create NAME, list, or revoke NAME…")
    default:
      throw context.arguments.problem("\"\(words.first ?? "")\" is none of create, list and revoke")
    }
  }

  private static func create(_ name: String, _ context: Context) throws -> Int32 {
    // Before there is a certificate: a place that cannot be written costs none.
    let output = try SecretOutput(context)
    let endpoint = Endpoint(arguments: context.arguments, environment: context.environment)
    let access = try endpoint.read()
    let native = try endpoint.server ?? access.nativeAddress()
    let cluster = try context.cluster()
    for role in context.arguments.values("role") { try bind(name, role, context.arguments.value("namespace"), cluster) }
    let seconds = context.arguments.milliseconds("ttl").map { $0 / 1_000 } ?? UserRequest.usualSeconds
    let (identity, made) = try make(name, groups: context.arguments.values("group"), seconds: seconds, cluster)
    guard let authority = made["authority"]?.stringValue else { throw noCertificate }
    let place = place(native: native, api: access.server ?? "", made)
    var file = KubeconfigText(
      server: place.api, native: place.native, authority: Array(authority.utf8), cluster: access.clusterName,
      user: name, identity: identity)
    file.namespace = context.arguments.value("namespace") ?? "default"
    try output.write(file.text)
    return 0
  }

  private static let noCertificate = CommandError("error: the coordinator's answer holds no certificate")

  /// Has the coordinator make a user of a key made here; the coordinator's whole answer beside it.
  static func make(
    _ name: String, groups: [String] = [], seconds: Int64 = UserRequest.usualSeconds, _ cluster: Cluster
  ) throws -> (identity: PEMIdentity, answer: JSON) {
    let key = try SigningRequests.makeKey()
    let request = try SigningRequests.make(name: name, key: key)
    let made = try cluster.ask {
      .users(
        id: $0,
        .create(
          name: name, groups: groups, ttlSeconds: seconds, request: String(decoding: request, as: UTF8.self)))
    }
    guard let certificate = made["certificate"]?.stringValue else { throw noCertificate }
    return (PEMIdentity(certificate: Array(certificate.utf8), key: key), made)
  }

  /// Where the new kubeconfig looks for the cluster: where this one does, which works; but one that points at its own
  /// machine is of no use on another, so there the coordinator's word counts.
  static func place(native: String, api: String, _ made: JSON) -> (native: String, api: String) {
    guard SocketAddress(parsing: native)?.isLoopback == true, let told = made["native"]?.stringValue else {
      return (native, api)
    }
    return (told, made["api"]?.stringValue ?? api)
  }

  /// Binds a ClusterRole to the user, in one namespace or in all. Before there is a certificate: who may not bind the
  /// role makes no user. One that is bound already stays so.
  private static func bind(_ name: String, _ role: String, _ namespace: String?, _ cluster: Cluster) throws {
    guard try cluster.find(.clusterroles, "", role) != nil else {
      throw CommandError("error: there is no ClusterRole \"\(role)\": kubectl get clusterroles lists those there are")
    }
    let group = "rbac.authorization.k8s.io"
    let kind: Kind = namespace == nil ? .clusterrolebindings : .rolebindings
    let body: JSON = [
      "apiVersion": .string("\(group)/v1"), "kind": .string(namespace == nil ? "ClusterRoleBinding" : "RoleBinding"),
      "metadata": ["name": .string("\(name):\(role)")],
      "roleRef": ["apiGroup": .string(group), "kind": "ClusterRole", "name": .string(role)],
      "subjects": [["apiGroup": .string(group), "kind": "User", "name": .string(name)]],
    ]
    do {
      _ = try cluster.send(APIRequest(verb: .create, kind: kind, namespace: namespace ?? "", body: body))
    } catch let error as StatusError where error.code == 409 {
      // Bound already, unless another name and role make the same text (`a:b` and `c`, `a` and `b:c`).
      let there = try cluster.get(kind, namespace ?? "", "\(name):\(role)")
      let subjects = there["subjects"]?.arrayValue?.map { $0["name"]?.stringValue }
      guard subjects == [name], there[path: ["roleRef", "name"]]?.stringValue == role else {
        throw CommandError(
          "error: \(kind.rawValue) \"\(name):\(role)\" is there and binds something else: bind the role by"
            + " kubectl create \(namespace == nil ? "cluster" : "")rolebinding, and make the user without --role")
      }
    }
  }

  private static func list(_ context: Context) throws -> Int32 {
    let found = try context.cluster().ask { .users(id: $0, .list) }
    func text(_ item: JSON, _ member: String) -> String { item[member]?.stringValue ?? "" }
    let items = (found["items"]?.arrayValue ?? []).sorted {
      (text($0, "name"), text($0, "created"), text($0, "key")) < (
        text($1, "name"), text($1, "created"), text($1, "key")
      )
    }
    if items.isEmpty {
      context.console.note("No users: stint user create makes one")
      return 0
    }
    let rows = items.map { item in
      let groups = (item["groups"]?.arrayValue ?? []).compactMap(\.stringValue).joined(separator: ",")
      return [
        text(item, "name"), groups.isEmpty ? "<none>" : groups, text(item, "status"), text(item, "created"),
        text(item, "expires"), text(item, "creator"),
      ]
    }
    context.console.out(TabWriter.table(["NAME", "GROUPS", "STATUS", "CREATED", "EXPIRES", "BY"], rows))
    return 0
  }

  private static func revoke(_ names: [String], _ context: Context) throws -> Int32 {
    let cluster = try context.cluster()
    return try PatchCommand.each(names, context.console) { name in
      try cluster.ask { .users(id: $0, .revoke(name)) }["message"]?.stringValue ?? ""
    }
  }
}
