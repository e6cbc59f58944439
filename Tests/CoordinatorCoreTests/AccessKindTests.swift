// Roles and bindings as objects: what Kubernetes refuses of them, in its words, and how tables show them.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Roles and bindings as objects")
struct AccessKindTests {
  private static func binding(_ change: (inout JSON) -> Void = { _ in }) -> JSON {
    var binding: JSON = ["metadata": ["name": "b"], "roleRef": ["kind": "ClusterRole", "name": "view"]]
    change(&binding)
    return binding
  }

  private static func role(_ rules: JSON, name: String = "r") -> JSON {
    ["metadata": ["name": .string(name)], "rules": rules]
  }

  @Test(
    "what is wrong with a role or a binding is told in Kubernetes' words",
    arguments: [
      (
        .roles, role([["apiGroups": [""], "resources": ["pods"]]]),
        "rules[0].verbs: Required value: verbs must contain at least one value"
      ),
      (
        .roles, role([["verbs": ["get"], "resources": ["pods"]]]),
        "rules[0].apiGroups: Required value: resource rules must supply at least one api group"
      ),
      (
        .roles, role([["verbs": ["get"], "apiGroups": [""]]]),
        "rules[0].resources: Required value: resource rules must supply at least one resource"
      ),
      (
        .roles, role([["verbs": ["get"], "nonResourceURLs": ["/x"]]]),
        "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs"
      ),
      (
        .clusterroles, role([["verbs": ["get"], "apiGroups": [""], "nonResourceURLs": ["/x"]]]),
        "[\"/x\"]: rules cannot apply to both regular resources and non-resource URLs"
      ),
      (
        .clusterroles, ["metadata": ["name": "r"], "aggregationRule": [:]],
        "Required value: at least one clusterRoleSelector required if aggregationRule is non-nil"
      ),
      (.roles, role([], name: "a%b"), "metadata.name: Invalid value: \"a%b\": may not contain '%'"),
      (.roles, role([], name: ".."), "metadata.name: Invalid value: \"..\": may not be '..'"),
      (
        .rolebindings, binding { $0["roleRef"] = ["kind": "Thing", "name": "x"] },
        "roleRef.kind: Unsupported value: \"Thing\": supported values: \"Role\", \"ClusterRole\""
      ),
      (
        .clusterrolebindings, binding { $0["roleRef"] = ["kind": "Role", "name": "x"] },
        "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""
      ),
      (
        .rolebindings, binding { $0["roleRef"] = ["kind": "Role", "name": "x", "apiGroup": "batch"] },
        "roleRef.apiGroup: Unsupported value: \"batch\": supported values: \"rbac.authorization.k8s.io\""
      ),
      (.rolebindings, binding { $0["roleRef"] = ["kind": "Role"] }, "roleRef.name: Required value"),
      (
        .rolebindings, binding { $0["subjects"] = [["kind": "Robot", "name": "x"]] },
        "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\""
      ),
      (.rolebindings, binding { $0["subjects"] = [["kind": "User", "name": ""]] }, "subjects[0].name: Required value"),
      (
        .clusterrolebindings, binding { $0["subjects"] = [["kind": "ServiceAccount", "name": "x"]] },
        "subjects[0].namespace: Required value"
      ),
      (
        .rolebindings, binding { $0["subjects"] = [["kind": "ServiceAccount", "name": "x", "apiGroup": "a"]] },
        "subjects[0].apiGroup: Unsupported value: \"a\": supported values: \"\""
      ),
    ] as [(Kind, JSON, String)])
  func refusals(kind: Kind, body: JSON, message: String) throws {
    let answer = try APIHarness().create(kind, body)
    #expect(answer.code == 422 && answer.message.hasSuffix(message), "\(answer.object)")
  }

  @Test("a role may be named as Kubernetes' own are, and is found by that name")
  func colons() throws {
    let harness = try APIHarness()
    let made = harness.create(.clusterroles, Self.role([], name: "system:thing:Of_Mine"))
    #expect(made.code == 201, "\(made.object)")
    #expect(harness.get(.clusterroles, "system:thing:Of_Mine").code == 200)
    try harness.restart()
    #expect(harness.get(.clusterroles, "system:thing:Of_Mine").code == 200)
  }

  @Test("a binding's role cannot be changed; groups of the API are filled in")
  func roleReference() throws {
    let harness = try APIHarness()
    let body = Self.binding {
      $0["subjects"] = [["kind": "User", "name": "a"], ["kind": "ServiceAccount", "name": "s", "namespace": "n"]]
    }
    let made = harness.create(.rolebindings, body).object
    #expect(made[path: ["roleRef", "apiGroup"]] == "rbac.authorization.k8s.io")
    #expect(
      made["subjects"]?[0]?["apiGroup"] == "rbac.authorization.k8s.io" && made["subjects"]?[1]?["apiGroup"] == nil)
    let changed = harness.patch(.rolebindings, "b", .merge, ["roleRef": ["name": "edit"]])
    #expect(changed.code == 422)
    #expect(
      changed.message == "RoleBinding.rbac.authorization.k8s.io \"b\" is invalid: roleRef: Invalid value: "
        + "{\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"ClusterRole\",\"Name\":\"edit\"}: "
        + "cannot change roleRef")
    #expect(harness.patch(.rolebindings, "b", .merge, ["subjects": []]).code == 200)
  }

  @Test("tables show what Kubernetes' show")
  func tables() throws {
    let harness = try APIHarness()
    harness.create(.roles, Self.role([]))
    harness.create(
      .rolebindings,
      Self.binding {
        $0["subjects"] = [
          ["kind": "User", "name": "a"], ["kind": "User", "name": "b"], ["kind": "Group", "name": "g"],
          ["kind": "ServiceAccount", "name": "s", "namespace": "n"],
        ]
      })
    func table(_ kind: Kind) -> RequestAnswer {
      harness.ask(APIRequest(verb: .list, kind: kind, namespace: "default", form: .table))
    }
    #expect(table(.roles).items.map { $0["cells"] } == [["r", "2026-11-23T10:00:00Z"]])
    let columns = table(.roles).object["columnDefinitions"]?.arrayValue?.compactMap { $0["name"]?.stringValue }
    #expect(columns == ["Name", "Created At"])
    #expect(table(.rolebindings).items.map { $0["cells"] } == [["b", "ClusterRole/view", "0s", "a, b", "g", "n/s"]])
  }

  @Test("lists that are looked at for requests are bounded")
  func bounds() throws {
    let harness = try APIHarness()
    let rule: JSON = ["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]]
    let many = harness.create(.roles, Self.role(.array(Array(repeating: rule, count: 1_001))))
    #expect(many.message.contains("rules: Too many: 1001: must have at most 1000 items"))
    var wide = rule
    wide["verbs"] = .array((0..<1_001).map { .string("v\($0)") })
    #expect(harness.create(.roles, Self.role([wide])).message.contains("rules[0].verbs: Too many"))
    let subjects = JSON.array(Array(repeating: ["kind": "User", "name": "a"], count: 1_001))
    #expect(harness.create(.rolebindings, Self.binding { $0["subjects"] = subjects }).code == 422)
  }
}
