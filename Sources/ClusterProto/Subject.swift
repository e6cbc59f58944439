// Owns: who asks, as a door has proven it. It must not know who may do what: that is the core's `authorize`.

/// Who asks: the user name and the groups that authorisation decides by, in Kubernetes' words.
package struct Subject: Equatable, Hashable, Sendable {
  /// What a name stands for.
  package enum Kind: String, Sendable { case user, serviceAccount, agent }
  /// By which door a request came.
  package enum Door: String, Sendable { case native, https }

  /// The user's name, as Kubernetes has it.
  package var name: String
  /// In the order in which they were proven; `system:authenticated` or `system:unauthenticated` is last.
  package var groups: [String]
  /// Person, service account, node or the system itself.
  package var kind: Kind
  /// What tells two owners of one name apart in time; empty where nothing does, as with certificates.
  package var uid: String
  /// Digest of the public key that was proven; empty: another proof, or none.
  package var key: String
  /// Digest of the key of the authority that has signed the certificate; empty: another proof, or none.
  package var authority = ""
  /// The address of the other end, for the audit; nothing is decided by it.
  package var from: String
  /// The door that the request came by.
  package var door: Door
  /// Who acts in this name, for the audit; empty: its owner. Nothing is decided by it.
  package var actor = ""

  /// Takes each value as it stands.
  package init(
    name: String, groups: [String], kind: Kind = .user, uid: String = "", key: String = "", door: Door,
    from: String = ""
  ) {
    self.name = name
    self.groups = groups
    self.kind = kind
    self.uid = uid
    self.key = key
    self.from = from
    self.door = door
  }

  /// Whether both have proven one name by one key: two connections of one program.
  package func isHolder(of other: Subject) -> Bool { name == other.name && key == other.key }

  /// The group of whoever has proven a name.
  package static let authenticated = "system:authenticated"
  /// The group of whoever has not.
  package static let unauthenticated = "system:unauthenticated"
  /// The group of every node.
  package static let nodes = "system:nodes"
  /// A node's user name.
  package static func nodeName(_ node: String) -> String { "system:node:\(node)" }
  /// The user name of a ServiceAccount.
  package static func serviceAccountName(_ namespace: String, _ name: String) -> String {
    "\(serviceAccountPrefix)\(namespace):\(name)"
  }
  private static let serviceAccountPrefix = "system:serviceaccount:"
  /// The ServiceAccount whose user name this is; nil for other users.
  package static func serviceAccount(_ userName: String) -> (namespace: String, name: String)? {
    guard userName.hasPrefix(serviceAccountPrefix) else { return nil }
    let parts = userName.dropFirst(serviceAccountPrefix.count).split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    return (String(parts[0]), String(parts[1]))
  }
  /// The group that may do everything.
  package static let masters = "system:masters"

  /// Nobody in particular: what a request is until a door says otherwise.
  package static let anonymous = Subject(name: "system:anonymous", groups: [unauthenticated], door: .https)
  /// Who has no certificate yet and asks for one.
  package static func joiner(from: String) -> Subject {
    Subject(name: anonymous.name, groups: anonymous.groups, door: .native, from: from)
  }
  /// The coordinator's own administrator, as the native door shows it.
  package static let administrator = Subject(name: "admin", groups: [masters, authenticated], door: .native)

  /// The agent of that node, as the native door shows it. `key`: digest of its certificate's public key.
  package static func agent(of node: String, key: String = "") -> Subject {
    Subject(name: nodeName(node), groups: [nodes, authenticated], kind: .agent, key: key, door: .native)
  }

  /// A certificate's owner: the subject's CN is the name, its O are the groups, as in Kubernetes. nil without a name.
  /// Who bears a node's name and is in the group of nodes is that node's agent.
  /// `key`: digest of the certificate's public key, which tells two owners of a name apart.
  package init?(
    commonName: String, organizations: [String], key: String = "", authority: String = "", door: Door = .https,
    from: String = ""
  ) {
    if commonName.isEmpty { return nil }
    let isAgent = commonName.hasPrefix(Subject.nodeName("")) && organizations.contains(Subject.nodes)
    self.init(
      name: commonName, groups: organizations.filter { $0 != Subject.authenticated } + [Subject.authenticated],
      kind: isAgent ? .agent : .user, key: key, door: door, from: from)
    self.authority = authority
  }

  /// The node whose agent this is; nil for everybody else.
  package var node: String? {
    let prefix = Subject.nodeName("")
    guard kind == .agent, name.hasPrefix(prefix), name != prefix else { return nil }
    return String(name.dropFirst(prefix.count))
  }

  /// Whether the groups alone allow everything: no role is asked.
  package var mayAll: Bool { groups.contains(Subject.masters) && !groups.contains(Subject.unauthenticated) }

  /// Who did it, for the audit: `admin as alice` where one acts in another's name.
  package var audited: String { actor.isEmpty ? name : "\(actor) as \(name)" }

  /// Whether anybody vouched for the name.
  package var isAuthenticated: Bool { groups.contains(Subject.authenticated) }
}
