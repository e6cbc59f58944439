// One valid object of each kind, the paths that name it, and how every refusal has to look.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

enum APIFixture {
  /// Where the objects of a kind are; of all namespaces where `namespace` is empty.
  static func collection(_ kind: Kind, namespace: String = "default") -> String {
    let root = kind.group.isEmpty ? "/api/v1" : "/apis/\(kind.group)/v1"
    return kind.isNamespaced && !namespace.isEmpty
      ? "\(root)/namespaces/\(namespace)/\(kind.plural)" : "\(root)/\(kind.plural)"
  }

  static func path(_ kind: Kind, _ name: String, namespace: String = "default") -> String {
    "\(collection(kind, namespace: namespace))/\(name)"
  }

  private static let podSpec: JSON = [
    "restartPolicy": "Never", "containers": [["name": "main", "image": "none", "command": ["true"]]],
  ]

  static func object(_ kind: Kind, _ name: String, labels: JSON? = nil) -> JSON {
    var object: JSON = [
      "apiVersion": .string(kind.apiVersion), "kind": .string(kind.name), "metadata": ["name": .string(name)],
    ]
    if let labels { object[path: ["metadata", "labels"]] = labels }
    switch kind {
    case .jobs: object["spec"] = ["suspend": true, "template": ["spec": podSpec]]
    case .cronjobs:
      object["spec"] = [
        "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": ["spec": ["template": ["spec": podSpec]]],
      ]
    case .pods: object["spec"] = podSpec
    case .configmaps: object["data"] = ["a": "b"]
    case .secrets: object["data"] = ["a": "eA=="]
    case .services: object["spec"] = ["ports": [["port": 80]]]
    case .leases: object["spec"] = ["holderIdentity": "me"]
    case .priorityclasses: object["value"] = 5
    case .queues: object["spec"] = ["limits": ["jobs": "5"]]
    case .resourcequotas: object["spec"] = ["hard": ["count/services": "1000"]]
    case .limitranges: object["spec"] = ["limits": [["type": "Pod", "max": ["example.com/none": "5"]]]]
    case .poddisruptionbudgets: object["spec"] = ["minAvailable": 1, "selector": ["matchLabels": ["a": "b"]]]
    case .events:
      object["involvedObject"] = ["kind": "Pod", "namespace": "default", "name": "p"]
      object["reason"] = "Tested"
      object["type"] = "Normal"
    case .roles, .clusterroles: object["rules"] = [["verbs": ["get"], "apiGroups": [""], "resources": ["pods"]]]
    case .rolebindings, .clusterrolebindings:
      object["roleRef"] = ["apiGroup": .string(Kind.accessGroup), "kind": "ClusterRole", "name": "view"]
      object["subjects"] = [["apiGroup": .string(Kind.accessGroup), "kind": "User", "name": "alice"]]
    case .persistentvolumes:
      object["spec"] = [
        "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"], "hostPath": ["path": "/srv"],
      ]
    case .persistentvolumeclaims:
      object["spec"] = ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]]
    case .storageclasses: object["provisioner"] = "kubernetes.io/no-provisioner"
    case .namespaces, .nodes, .serviceaccounts: break
    }
    return object
  }
}

extension JSON {
  var name: String { self[path: ["metadata", "name"]]?.stringValue ?? "" }
  var uid: String { self[path: ["metadata", "uid"]]?.stringValue ?? "" }
  var resourceVersion: String { self[path: ["metadata", "resourceVersion"]]?.stringValue ?? "" }
  var itemNames: [String] { (self["items"]?.arrayValue ?? []).map(\.name) }
}

/// Holds an answer against what a Kubernetes Status of failure is.
func expectStatus(
  _ answer: HTTPTestAnswer, _ code: Int, _ reason: String, _ text: String = "",
  at location: SourceLocation = #_sourceLocation
) {
  let json = answer.json
  let message = json["message"]?.stringValue ?? ""
  let isStatus =
    json["kind"] == "Status" && json["apiVersion"] == "v1" && json["status"] == "Failure" && json["metadata"] != nil
    && json["code"]?.intValue == Int64(answer.code) && !message.isEmpty
  #expect(isStatus, "\(answer.text.prefix(400))", sourceLocation: location)
  let isWanted = answer.code == code && json["reason"]?.stringValue == reason && message.contains(text)
  #expect(isWanted, "not \(code) \(reason) \(text): \(answer.text.prefix(400))", sourceLocation: location)
}

extension LiveAPI {
  /// The object as it is now.
  func object(_ path: String) throws -> JSON { try ask("GET", path).json }

  /// Asks until the answer is so.
  func eventually(
    _ what: Comment, _ method: String, _ target: String, _ condition: (HTTPTestAnswer) -> Bool
  ) throws {
    var seen: HTTPTestAnswer?
    let end = Clocks.boot() + 20_000_000_000
    repeat {
      seen = try ask(method, target)
    } while seen.map(condition) == false && Clocks.boot() < end
    #expect(seen.map(condition) == true, what)
  }
}
