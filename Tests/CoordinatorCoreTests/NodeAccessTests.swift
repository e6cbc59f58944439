// What an agent's identity may: its own node, its own pods and what these use. And what it is told of another's pods in
// its session: nothing.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("An agent's rights")
struct NodeAccessTests {
  @Test(
    "an agent reads its own node, its own pods, and their Secrets and ConfigMaps; of another's, and of others, nothing")
  func own() throws {
    let api = try APIHarness()
    let spec: JSON = [
      "volumes": [["name": "s", "secret": ["secretName": "used"]], ["name": "c", "configMap": ["name": "map"]]],
      "containers": [
        [
          "name": "c", "image": "x", "command": ["true"],
          "env": [["name": "A", "valueFrom": ["secretKeyRef": ["name": "keys", "key": "a"]]]],
          "envFrom": [["secretRef": ["name": "all"]]],
        ]
      ],
    ]
    api.create(.pods, Manifest.pod("p", spec: spec))
    api.create(.pods, Manifest.pod("q", spec: spec))
    let key = ObjectKey(namespace: "default", name: "p")
    api.core.updatePod(key) { $0.nodeName = "a" }
    let (a, b) = (Subject.agent(of: "a"), Subject.agent(of: "b"))
    func may(_ who: Subject, _ verb: String, _ resource: String, _ name: String, in namespace: String = "default")
      -> Bool
    {
      api.core.authorize(
        who, AccessAttributes(verb: verb, resource: resource, namespace: namespace, name: name)) == .allowed
    }
    #expect(may(a, "get", "nodes", "a", in: "") && !may(b, "get", "nodes", "a", in: ""))
    #expect(may(a, "get", "pods", "p") && !may(b, "get", "pods", "p") && !may(a, "get", "pods", "q"))
    for (resource, name) in [("secrets", "used"), ("secrets", "keys"), ("secrets", "all"), ("configmaps", "map")] {
      #expect(may(a, "get", resource, name) && !may(b, "get", resource, name), "\(resource) \(name)")
      #expect(!may(a, "get", resource, name, in: "kube-system"), "\(resource) \(name) of another namespace")
    }
    for (verb, resource, name) in [
      ("get", "secrets", "other"), ("get", "secrets", ""), ("list", "secrets", ""), ("update", "secrets", "used"),
      ("delete", "pods", "p"), ("update", "nodes", "a"), ("list", "pods", ""), ("create", "pods", ""),
      ("get", "configmaps", "used"),
    ] {
      #expect(!may(a, verb, resource, name), "\(verb) \(resource) \(name)")
    }
    // It has ended: its node has no use for its Secrets any more.
    api.core.updatePod(key) { $0.status.phase = .succeeded }
    #expect(!may(a, "get", "secrets", "used") && may(a, "get", "pods", "p"))
  }

  @Test("no binding gives an agent more, not even one of everything to its group")
  func bound() throws {
    let access = try AccessHarness()
    access.api.create(
      .clusterrolebindings,
      AccessHarness.binding("n", "ClusterRole", "cluster-admin", [["kind": "Group", "name": "system:nodes"]]))
    #expect(!access.may(.agent(of: "a"), "get", "secrets", in: "default", name: "x"))
    #expect(!access.may(.agent(of: "a"), "create", "jointokens", group: "stint"))
    #expect(access.ask(.agent(of: "a"), APIRequest(verb: .list, kind: .secrets)).code == 403)
  }
}
