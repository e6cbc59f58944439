// What roles and bindings allow, in Kubernetes' meaning: places, subresources, names, sums, the built-in ones and how
// they come back, what nobody may give who has it not, and what an agent may.

import ClusterProto
import Testing

@testable import CoordinatorCore

/// Roles, bindings and people for tests of authorisation.
struct AccessHarness {
  let api: APIHarness

  init() throws { api = try APIHarness() }

  static func user(_ name: String, groups: [String] = []) -> Subject {
    Subject(name: name, groups: groups + [Subject.authenticated], door: .https)
  }

  /// A Role, or without a namespace a ClusterRole.
  @discardableResult
  func role(_ name: String, in namespace: String = "", labels: JSON = [:], _ rules: JSON) -> RequestAnswer {
    api.create(
      namespace.isEmpty ? .clusterroles : .roles,
      ["metadata": ["name": .string(name), "labels": labels], "rules": rules], namespace: namespace)
  }

  static func binding(_ name: String, _ kind: String, _ role: String, _ subjects: [JSON]) -> JSON {
    [
      "metadata": ["name": .string(name)], "roleRef": ["kind": .string(kind), "name": .string(role)],
      "subjects": .array(subjects),
    ]
  }

  /// Binds a role to a user, in a namespace or everywhere.
  @discardableResult
  func bind(_ user: String, to role: String, kind: String = "ClusterRole", in namespace: String = "") -> RequestAnswer {
    api.create(
      namespace.isEmpty ? .clusterrolebindings : .rolebindings,
      Self.binding("\(user)-\(role)", kind, role, [["kind": "User", "name": .string(user)]]), namespace: namespace)
  }

  func may(
    _ subject: Subject, _ verb: String, _ resource: String, group: String = "", in namespace: String = "",
    name: String = ""
  ) -> Bool {
    let parts = resource.split(separator: "/").map(String.init)
    return api.core.authorize(
      subject,
      AccessAttributes(
        verb: verb, group: group, resource: parts[0], subresource: parts.count > 1 ? parts[1] : "",
        namespace: namespace, name: name)) == .allowed
  }

  func ask(_ subject: Subject, _ request: APIRequest) -> RequestAnswer {
    var request = request
    request.subject = subject
    return api.ask(request)
  }
}

@Suite("Roles")
struct RoleTests {
  private let alice = AccessHarness.user("alice")
  private static let pods: JSON = [["verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]]]

  @Test(
    "a user of one namespace has nothing in another, nor at the cluster's scope, and is told so in Kubernetes' words")
  func namespaces() throws {
    let access = try AccessHarness()
    access.bind("alice", to: "edit", in: "default")
    #expect(access.may(alice, "create", "jobs", group: "batch", in: "default"))
    for place in ["", "kube-system"] {
      #expect(!access.may(alice, "list", "jobs", group: "batch", in: place))
    }
    let answer = access.ask(alice, APIRequest(verb: .list, kind: .jobs, namespace: "kube-system"))
    #expect(answer.code == 403)
    #expect(
      answer.message == "jobs.batch is forbidden: User \"alice\" cannot list resource \"jobs\" in API group \"batch\" "
        + "in the namespace \"kube-system\"")
    #expect(access.ask(alice, APIRequest(verb: .watch, kind: .jobs)).code == 403)
    #expect(access.ask(alice, APIRequest(verb: .list, kind: .jobs, namespace: "default")).code == 200)
  }

  @Test("a binding counts from its creation to its deletion, and after a restart as before")
  func life() throws {
    let access = try AccessHarness()
    access.role("reader", in: "default", Self.pods)
    #expect(!access.may(alice, "get", "pods", in: "default"))
    access.bind("alice", to: "reader", kind: "Role", in: "default")
    #expect(access.may(alice, "get", "pods", in: "default"))
    try access.api.restart()
    #expect(access.may(alice, "get", "pods", in: "default"))
    access.api.patch(
      .roles, "reader", .merge, ["rules": [["verbs": ["list"], "apiGroups": [""], "resources": ["pods"]]]])
    #expect(!access.may(alice, "get", "pods", in: "default") && access.may(alice, "list", "pods", in: "default"))
    access.api.delete(.roles, "reader")
    let gone = access.ask(alice, APIRequest(verb: .list, kind: .pods, namespace: "default"))
    #expect(gone.message.hasSuffix(": RBAC: role.rbac.authorization.k8s.io \"reader\" not found"), "\(gone.message)")
    access.role("reader", in: "default", Self.pods)
    #expect(access.may(alice, "get", "pods", in: "default"))
    access.api.delete(.rolebindings, "alice-reader")
    #expect(!access.may(alice, "get", "pods", in: "default"))
  }

  @Test(
    "a rule means what it means in Kubernetes",
    arguments: [
      (["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]], "get", "", "pods", "", true),
      (["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]], "get", "", "pods/log", "", false),
      (["verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]], "get", "", "pods/log", "p", true),
      (["verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]], "get", "", "pods", "p", false),
      (["verbs": ["get"], "apiGroups": [""], "resources": ["*/status"]], "get", "", "pods/status", "p", true),
      (["verbs": ["get"], "apiGroups": [""], "resources": ["*/status"]], "get", "", "pods/log", "p", false),
      (["verbs": ["get"], "apiGroups": [""], "resources": ["*"]], "get", "", "pods/log", "p", true),
      (["verbs": ["get"], "apiGroups": [""], "resources": ["*"]], "get", "batch", "jobs", "", false),
      (["verbs": ["*"], "apiGroups": ["*"], "resources": ["jobs"]], "delete", "batch", "jobs", "", true),
      (
        ["verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]], "get", "", "secrets",
        "a", true
      ),
      (
        ["verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]], "get", "", "secrets",
        "b", false
      ),
      (
        ["verbs": ["list"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a"]], "list", "", "secrets",
        "", false
      ),
    ] as [(JSON, String, String, String, String, Bool)])
  func rules(rule: JSON, verb: String, group: String, resource: String, name: String, isAllowed: Bool) throws {
    let access = try AccessHarness()
    access.role("r", .array([rule]))
    access.bind("alice", to: "r")
    #expect(access.may(alice, verb, resource, group: group, in: "default", name: name) == isAllowed)
  }

  @Test("paths that name no resource are allowed by ClusterRoles alone, a star at the end standing for the rest")
  func paths() throws {
    let access = try AccessHarness()
    func may(_ path: String) -> Bool {
      access.api.core.authorize(alice, AccessAttributes(verb: "get", path: path)) == .allowed
    }
    #expect(may("/apis") && may("/apis/batch/v1") && may("/version"))
    #expect(!may("/") && !may("/metrics") && !may("/apisx"))
    access.role("m", [["verbs": ["get"], "nonResourceURLs": ["/metrics"]]])
    access.bind("alice", to: "m")
    #expect(may("/metrics") && !may("/metrics/x"))
    #expect(access.api.core.authorize(alice, AccessAttributes(verb: "post", path: "/metrics")) != .allowed)
  }

  @Test("groups and ServiceAccounts are bound as Kubernetes binds them")
  func principals() throws {
    let access = try AccessHarness()
    access.api.create(
      .rolebindings,
      AccessHarness.binding(
        "b", "ClusterRole", "view", [["kind": "Group", "name": "team"], ["kind": "ServiceAccount", "name": "robot"]]))
    #expect(access.may(AccessHarness.user("x", groups: ["team"]), "list", "pods", in: "default"))
    #expect(!access.may(AccessHarness.user("team"), "list", "pods", in: "default"))
    // Without a namespace of its own it is the binding's.
    #expect(access.may(AccessHarness.user("system:serviceaccount:default:robot"), "list", "pods", in: "default"))
    #expect(!access.may(AccessHarness.user("system:serviceaccount:other:robot"), "list", "pods", in: "default"))
    #expect(!access.may(AccessHarness.user("robot"), "list", "pods", in: "default"))
  }

  @Test("a subject that nobody vouches for has nothing, whatever is bound to it")
  func anonymous() throws {
    let access = try AccessHarness()
    access.bind("system:anonymous", to: "cluster-admin")
    access.api.create(
      .clusterrolebindings,
      AccessHarness.binding("u", "ClusterRole", "cluster-admin", [["kind": "Group", "name": "system:unauthenticated"]]))
    #expect(!access.may(.anonymous, "list", "pods", in: "default"))
  }

  @Test("a ClusterRole that is a sum follows its parts: new, changed, relabelled and deleted, and over a restart")
  func sums() throws {
    let access = try AccessHarness()
    access.api.create(
      .clusterroles,
      [
        "metadata": ["name": "sum"],
        "aggregationRule": ["clusterRoleSelectors": [["matchLabels": ["part": "1"]]]],
        "rules": [["verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]]],
      ], namespace: "")
    func rules() -> JSON { access.api.get(.clusterroles, "sum").object["rules"] ?? .null }
    #expect(rules() == .null, "what somebody else writes there does not stay")
    let nodes: JSON = [["verbs": ["get"], "apiGroups": [""], "resources": ["nodes"]]]
    access.role("b", labels: ["part": "1"], Self.pods)
    access.role("a", labels: ["part": "1"], nodes)
    access.role("other", Self.pods)
    #expect(rules().arrayValue?.map { $0["resources"] } == [["nodes"], ["pods"]])
    try access.api.restart()
    access.api.patch(.clusterroles, "a", .merge, ["metadata": ["labels": ["part": "2"]]])
    #expect(rules() == Self.pods)
    access.api.patch(.clusterroles, "b", .merge, ["rules": nodes])
    #expect(rules() == nodes)
    access.api.delete(.clusterroles, "b")
    #expect(rules() == .null)
    access.api.patch(
      .clusterroles, "sum", .merge, ["aggregationRule": ["clusterRoleSelectors": [["matchLabels": ["part": "2"]]]]])
    #expect(rules() == nodes)
  }

  @Test(
    "view reads no Secret, makes no token and changes nothing; edit gives nobody a right; admin stays in its namespace")
  func builtIn() throws {
    let access = try AccessHarness()
    for role in ["view", "edit", "admin"] { access.bind(role, to: role, in: "default") }
    func may(_ who: String, _ verb: String, _ resource: String, _ group: String = "", _ place: String = "default")
      -> Bool
    {
      access.may(AccessHarness.user(who), verb, resource, group: group, in: place)
    }
    #expect(may("view", "list", "pods") && may("view", "get", "pods/log") && may("view", "get", "jobs/status", "batch"))
    #expect(may("view", "get", "namespaces", "", "default"))
    for (verb, resource) in [
      ("get", "secrets"), ("list", "secrets"), ("watch", "secrets"), ("create", "serviceaccounts/token"),
      ("create", "pods"), ("create", "pods/eviction"), ("delete", "configmaps"), ("impersonate", "serviceaccounts"),
      ("create", "pods/exec"), ("get", "pods/exec"), ("create", "pods/attach"), ("create", "pods/portforward"),
    ] {
      #expect(!may("view", verb, resource), "\(verb) \(resource)")
    }
    #expect(may("edit", "create", "jobs", "batch") && may("edit", "get", "secrets"))
    #expect(may("edit", "create", "pods/exec") && may("edit", "create", "pods/portforward"))
    #expect(may("edit", "create", "pods/eviction") && may("edit", "update", "leases", "coordination.k8s.io"))
    for (verb, resource, group) in [
      ("create", "rolebindings", Kind.accessGroup), ("get", "roles", Kind.accessGroup), ("update", "pods/status", ""),
      ("create", "namespaces", ""), ("delete", "namespaces", ""), ("create", "jointokens", "stint"),
    ] {
      #expect(!may("edit", verb, resource, group), "\(verb) \(resource)")
    }
    #expect(may("admin", "create", "rolebindings", Kind.accessGroup) && may("admin", "get", "secrets"))
    #expect(may("admin", "create", "localsubjectaccessreviews", "authorization.k8s.io"))
    #expect(!may("admin", "create", "subjectaccessreviews", "authorization.k8s.io"))
    for (verb, resource, group) in [
      ("list", "nodes", ""), ("create", "clusterrolebindings", Kind.accessGroup), ("delete", "nodekeys", "stint"),
      ("escalate", "roles", Kind.accessGroup), ("bind", "clusterroles", Kind.accessGroup),
    ] {
      #expect(!may("admin", verb, resource, group), "\(verb) \(resource)")
    }
    access.bind("boss", to: "cluster-admin")
    #expect(may("boss", "create", "jointokens", "stint", "") && may("boss", "delete", "nodekeys", "stint", ""))
  }

  @Test(
    "built-in roles come back at a start with the rules that they lack; what was added stays; an annotation keeps all")
  func reconciled() throws {
    let access = try AccessHarness()
    let part = "system:aggregate-to-view"
    let before = access.api.get(.clusterroles, part).object["rules"]
    let mine: JSON = ["verbs": ["fly"], "apiGroups": ["x"], "resources": ["kites"]]
    access.api.patch(.clusterroles, part, .merge, ["rules": [mine]])
    access.api.delete(.clusterrolebindings, "cluster-admin")
    access.api.delete(.clusterroles, "edit")
    access.api.patch(.clusterrolebindings, "system:discovery", .merge, ["subjects": []])
    access.api.patch(
      .clusterrolebindings, "system:basic-user", .merge,
      [
        "subjects": [], "metadata": ["annotations": ["rbac.authorization.kubernetes.io/autoupdate": "false"]],
      ])
    #expect(access.api.core.authorize(alice, AccessAttributes(verb: "get", path: "/apis")) != .allowed)
    try access.api.restart()
    let after = access.api.get(.clusterroles, part).object["rules"]?.arrayValue ?? []
    #expect(after.first == mine && after.count > 1)
    var comparison = RuleComparison(held: PolicyRule.list(.array(after)))
    #expect(comparison.missing(PolicyRule.list(before)) == [])
    #expect(access.api.get(.clusterrolebindings, "cluster-admin").code == 200)
    #expect(access.api.get(.clusterroles, "edit").object["rules"]?.arrayValue?.isEmpty == false)
    #expect(access.api.core.authorize(alice, AccessAttributes(verb: "get", path: "/apis")) == .allowed)
    #expect(access.api.get(.clusterrolebindings, "system:basic-user").object["subjects"] ?? [] == [])
    // Nothing to mend: nothing is written.
    let version = access.api.get(.clusterroles, part).resourceVersion
    try access.api.restart()
    #expect(access.api.get(.clusterroles, part).resourceVersion == version)
  }

  @Test("every kind outside of namespaces names who works with it, and masters need no binding")
  func tiers() throws {
    for resource in ServedResource.discovered where !resource.isNamespaced {
      #expect(resource.tier == .cluster || resource.tier == .visible, "\(resource.plural)")
    }
    let access = try AccessHarness()
    access.api.delete(.clusterrolebindings, "cluster-admin")
    #expect(access.may(.administrator, "delete", "nodes", name: "x"))
  }

  @Test("a look-up costs the same with 1,000 bindings of others, counted in steps")
  func cost() throws {
    let access = try AccessHarness()
    access.bind("alice", to: "view", in: "default")
    for index in 0..<1_000 { access.bind("user\(index)", to: index % 2 == 0 ? "view" : "edit", in: "default") }
    #expect(access.api.core.access.roles(of: .user("alice"), in: "default").count == 1)
    #expect(access.api.core.access.roles(of: .group(Subject.authenticated), in: "").count == 3)
    // All bindings of one role to one group are one entry.
    for index in 0..<100 {
      access.api.create(
        .rolebindings,
        AccessHarness.binding("g\(index)", "ClusterRole", "view", [["kind": "Group", "name": "team"]]))
    }
    #expect(access.api.core.access.roles(of: .group("team"), in: "default").count == 1)
    for index in 0..<100 { access.api.delete(.rolebindings, "g\(index)") }
    #expect(access.api.core.access.roles(of: .group("team"), in: "default").isEmpty)
  }
}
