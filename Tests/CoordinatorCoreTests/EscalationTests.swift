// Nobody gives what he has not: every way to write a role or a binding, in Kubernetes' words.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Escalation")
struct EscalationTests {
  private let alice = AccessHarness.user("alice")
  private static let secrets: JSON = [["verbs": ["get", "list"], "apiGroups": [""], "resources": ["nodes"]]]

  /// alice is admin of `default`.
  private func admin() throws -> AccessHarness {
    let access = try AccessHarness()
    access.bind("alice", to: "admin", in: "default")
    return access
  }

  private func create(_ access: AccessHarness, _ kind: Kind, _ body: JSON) -> RequestAnswer {
    access.ask(alice, APIRequest(verb: .create, kind: kind, namespace: "default", body: body))
  }

  @Test("a Role with rights that its writer lacks is refused, by create, update, every patch, apply and in a dry run")
  func roles() throws {
    let access = try admin()
    let body: JSON = ["metadata": ["name": "r"], "rules": Self.secrets]
    let words =
      "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"alice\" (groups=[\"system:authenticated\"]) is "
      + "attempting to grant RBAC permissions not currently held:\n"
      + "{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"list\"]}"
    let refused = create(access, .roles, body)
    #expect(refused.code == 403 && refused.message == words, "\(refused.message)")
    var dry = APIRequest(verb: .create, kind: .roles, namespace: "default", body: body)
    dry.options.dryRun = true
    #expect(access.ask(alice, dry).message == words)
    #expect(access.api.get(.roles, "r").code == 404)
    let mine: JSON = [
      "metadata": ["name": "r"], "rules": [["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]]],
    ]
    #expect(create(access, .roles, mine).code == 201)
    for patch in [PatchKind.merge, .strategic, .apply, .json] {
      var request = APIRequest(verb: .patch, kind: .roles, namespace: "default", name: "r")
      request.options.patchKind = patch
      request.options.fieldManager = "m"
      request.options.force = patch == .apply ? true : nil
      request.body = patch == .json ? [["op": "replace", "path": "/rules", "value": Self.secrets]] : body
      if patch == .apply {
        request.body?["apiVersion"] = .string(Kind.roles.apiVersion)
        request.body?["kind"] = "Role"
      }
      let answer = access.ask(alice, request)
      #expect(answer.code == 403 && answer.message == words, "\(patch): \(answer.message)")
    }
    let put = APIRequest(verb: .update, kind: .roles, namespace: "default", name: "r", body: body)
    #expect(access.ask(alice, put).message == words)
    #expect(access.api.get(.roles, "r").object["rules"] == mine["rules"])
  }

  @Test("edit of a namespace cannot bind at all; admin binds what it has, and not cluster-admin")
  func bindings() throws {
    let access = try admin()
    func bind(_ role: String, kind: String = "ClusterRole") -> RequestAnswer {
      create(access, .rolebindings, AccessHarness.binding("b-\(role)", kind, role, [["kind": "User", "name": "bob"]]))
    }
    #expect(bind("view").code == 201 && bind("edit").code == 201 && bind("admin").code == 201)
    let refused = bind("cluster-admin")
    #expect(refused.code == 403)
    #expect(
      refused.message.hasSuffix(
        "is attempting to grant RBAC permissions not currently held:\n"
          + "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}\n{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}"),
      "\(refused.message)")
    let missing = bind("nothing", kind: "Role")
    #expect(missing.code == 404 && missing.message == "roles.rbac.authorization.k8s.io \"nothing\" not found")
    let everywhere = AccessHarness.binding("c", "ClusterRole", "view", [["kind": "User", "name": "alice"]])
    #expect(create(access, .clusterrolebindings, everywhere).code == 403)
    access.bind("ed", to: "edit", in: "default")
    let body = AccessHarness.binding("e", "ClusterRole", "cluster-admin", [["kind": "User", "name": "ed"]])
    let ed = access.ask(
      AccessHarness.user("ed"), APIRequest(verb: .create, kind: .rolebindings, namespace: "default", body: body))
    #expect(ed.message.contains("User \"ed\" cannot create resource \"rolebindings\""))
  }

  @Test("a binding of others cannot be turned to oneself, and its role cannot be made more")
  func existing() throws {
    let access = try admin()
    access.api.create(
      .rolebindings, AccessHarness.binding("b", "ClusterRole", "cluster-admin", [["kind": "User", "name": "bob"]]))
    var request = APIRequest(verb: .patch, kind: .rolebindings, namespace: "default", name: "b")
    request.options.patchKind = .merge
    request.body = ["subjects": [["kind": "User", "name": "alice"]]]
    #expect(access.ask(alice, request).code == 403)
    #expect(access.api.get(.rolebindings, "b").object["subjects"]?[0]?["name"] == "bob")
    // What helpers of the garbage collector write is no grant.
    request.body = ["metadata": ["finalizers": ["example.com/x"]]]
    #expect(access.ask(alice, request).code == 200)
  }

  @Test("the verbs escalate and bind allow it, of the named role alone")
  func verbs() throws {
    let access = try admin()
    access.role(
      "special", in: "default",
      [
        [
          "verbs": ["bind"], "apiGroups": [.string(Kind.accessGroup)], "resources": ["clusterroles"],
          "resourceNames": ["cluster-admin"],
        ],
        [
          "verbs": ["escalate"], "apiGroups": [.string(Kind.accessGroup)], "resources": ["roles"],
          "resourceNames": ["r"],
        ],
      ])
    access.bind("alice", to: "special", kind: "Role", in: "default")
    func bind(_ role: String) -> Int? {
      create(
        access, .rolebindings, AccessHarness.binding("b-\(role)", "ClusterRole", role, [["kind": "User", "name": "x"]])
      )
      .code
    }
    #expect(bind("cluster-admin") == 201 && bind("system:auth-delegator") == 403)
    #expect(create(access, .roles, ["metadata": ["name": "r"], "rules": Self.secrets]).code == 201)
    #expect(create(access, .roles, ["metadata": ["name": "s"], "rules": Self.secrets]).code == 403)
  }

  @Test("who may write ClusterRoles makes a sum of others only with every right")
  func sums() throws {
    let access = try AccessHarness()
    access.role(
      "writer",
      [
        [
          "verbs": ["*"], "apiGroups": [.string(Kind.accessGroup)], "resources": ["clusterroles"],
          "resourceNames": ["none"],
        ], ["verbs": ["create", "get"], "apiGroups": [.string(Kind.accessGroup)], "resources": ["clusterroles"]],
      ])
    access.bind("alice", to: "writer")
    let answer = create(
      access, .clusterroles,
      ["metadata": ["name": "s"], "aggregationRule": ["clusterRoleSelectors": [["matchLabels": ["a": "b"]]]]])
    #expect(answer.code == 403)
    #expect(answer.message.hasSuffix("must have cluster-admin privileges to use the aggregationRule"))
  }

  @Test("rules whose product is immense are refused before they are multiplied")
  func immense() throws {
    let access = try admin()
    let many = JSON.array((0..<1_000).map { .string("x\($0)") })
    let answer = create(
      access, .roles,
      [
        "metadata": ["name": "r"],
        "rules": [["verbs": many, "apiGroups": many, "resources": many, "resourceNames": many]],
      ])
    #expect(answer.code == 403 && answer.message.contains("too many rules to compare"), "\(answer.message.prefix(200))")
  }
}
