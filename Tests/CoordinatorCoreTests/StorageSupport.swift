// Claims, volumes and pods for the tests of storage, made through the API of a core with agents.

import ClusterProto
import Testing

@testable import CoordinatorCore

enum Storage {
  static func claim(
    _ name: String, _ size: String = "1Gi", _ modes: [String] = ["ReadWriteOnce"], more: JSON = [:]
  ) -> JSON {
    var spec: JSON = [
      "accessModes": .array(modes.map { .string($0) }), "resources": ["requests": ["storage": .string(size)]],
    ]
    for (key, value) in more.objectValue ?? JSONObject() { spec[key] = value }
    return [
      "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": .string(name)], "spec": spec,
    ]
  }

  /// Of a class that nobody provisions for, as claims with `storageClassName: ""` have it.
  static func volume(
    _ name: String, _ size: String = "1Gi", _ modes: [String] = ["ReadWriteOnce"], more: JSON = [:],
    labels: JSON = [:]
  ) -> JSON {
    var spec: JSON = [
      "accessModes": .array(modes.map { .string($0) }), "capacity": ["storage": .string(size)],
      "hostPath": ["path": "/srv/\(name)"].mapValues { .string($0) }.asJSON,
    ]
    for (key, value) in more.objectValue ?? JSONObject() { spec[key] = value.isNull ? nil : value }
    return [
      "apiVersion": "v1", "kind": "PersistentVolume", "metadata": ["name": .string(name), "labels": labels],
      "spec": spec,
    ]
  }

  static func nodes(_ names: String...) -> JSON {
    [
      "required": [
        "nodeSelectorTerms": [
          [
            "matchExpressions": [
              ["key": "kubernetes.io/hostname", "operator": "In", "values": .array(names.map { .string($0) })]
            ]
          ]
        ]
      ]
    ]
  }

  /// The members of a pod's spec that mount claims.
  static func using(_ claims: String...) -> [(String, JSON)] {
    let volumes = claims.map { claim -> JSON in
      ["name": .string("v-\(claim)"), "persistentVolumeClaim": ["claimName": .string(claim)]]
    }
    return [("volumes", .array(volumes))]
  }
}

extension Dictionary where Key == String, Value == JSON {
  fileprivate var asJSON: JSON { .object(JSONObject(entries: sorted { $0.key < $1.key }.map { ($0.key, $0.value) })) }
}

extension FleetHarness {
  @discardableResult
  mutating func ask(_ request: APIRequest) -> (code: Int, object: JSON, warnings: [String]) {
    let before = effects.count
    step([.request(700, request)])
    for effect in effects[before...] {
      if case .reply(700, .done(let code, let object, let warnings)) = effect { return (code, object, warnings) }
    }
    return (0, .null, [])
  }

  @discardableResult
  mutating func create(_ kind: Kind, _ body: JSON) -> (code: Int, object: JSON, warnings: [String]) {
    ask(APIRequest(verb: .create, kind: kind, namespace: kind.isNamespaced ? "default" : "", body: body))
  }

  mutating func delete(_ kind: Kind, _ name: String) {
    ask(APIRequest(verb: .delete, kind: kind, namespace: kind.isNamespaced ? "default" : "", name: name))
  }

  mutating func patch(_ kind: Kind, _ name: String, _ body: JSON) -> Int {
    var options = APIOptions()
    options.patchKind = .merge
    return ask(
      APIRequest(
        verb: .patch, kind: kind, namespace: kind.isNamespaced ? "default" : "", name: name, options: options,
        body: body)
    ).code
  }

  func object(_ kind: Kind, _ name: String) -> GenericObject? {
    core.state.other(kind, ObjectKey(namespace: kind.isNamespaced ? "default" : "", name: name))
  }

  func phase(_ kind: Kind, _ name: String) -> String? {
    object(kind, name)?.body["status"]?["phase"]?.stringValue
  }

  /// The volume of a claim; nil: it has none.
  func volume(of claim: String) -> String? {
    object(.persistentvolumeclaims, claim)?.body["spec"]?["volumeName"]?.stringValue
  }

  /// Why a pod waits.
  func wait(_ pod: String) -> String? { self.pod(pod)?.status.condition("PodScheduled")?.message }

  /// Ends a pod's attempt with success.
  mutating func succeed(_ pod: String) {
    guard let number = attempt(of: pod), let node = self.pod(pod)?.nodeName else { return }
    report(node, number, revision: 1, .running)
    report(node, number, revision: 2, .succeeded)
    beat(node)
  }
}
