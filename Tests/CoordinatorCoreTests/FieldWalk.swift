// The walk over every field of the schema: each field as a place in an object of its kind, with a value that is valid
// there and the neighbours that it needs. What becomes of the fields is APIFieldTests'. It must not know verbs.

import ClusterProto

@testable import CoordinatorCore

/// One field of one kind.
struct WalkedField: CustomStringConvertible {
  enum Step: Equatable {
    case member(String)
    case element
    case key
  }

  var kind: Kind
  var steps: [Step]
  /// `Container.env`: the struct and its field.
  var place: String
  var type: SchemaType
  /// The strictest mark on the way.
  var honour: FieldHonour

  /// As messages name it: `spec.containers[0].env`.
  var path: String { Self.path(steps) }
  var description: String { "\(kind.name) \(path)" }

  static func path(_ steps: [Step]) -> String {
    var text = ""
    for step in steps {
      switch step {
      case .member(let name): text += text.isEmpty ? name : ".\(name)"
      case .element: text += "[0]"
      case .key: text += ".k"
      }
    }
    return text
  }

  /// Whether a message is about this field, or (`orAbove`) about something that holds it.
  func isNamed(in texts: [String], orAbove: Bool = false) -> Bool {
    let shortest = orAbove ? 1 : steps.count
    return (shortest...steps.count).contains { count in
      let path = Self.path(Array(steps.prefix(count)))
      return texts.contains { text in
        guard let found = text.firstRange(of: path) else { return false }
        // `spec.x` is not named by `spec.xy`.
        return found.upperBound == text.endIndex || !(text[found.upperBound].isLetter)
      }
    }
  }

  /// The values of this field in an object: one, or of every element of a list on the way.
  func values(in object: JSON) -> [JSON] {
    var values = [object]
    for step in steps {
      switch step {
      case .member(let name): values = values.compactMap { $0[name] }
      case .element: values = values.flatMap { $0.arrayValue ?? [] }
      case .key: values = values.compactMap { $0["k"] }
      }
    }
    return values
  }

  var sample: JSON { FieldWalk.values[place] ?? FieldWalk.sample(type) }

  /// `object` with this field set, and what each struct on the way needs.
  func set(in object: JSON) -> JSON { set(sample, in: object, steps[...], .named(kind.name)) }

  private func set(_ value: JSON, in given: JSON?, _ steps: ArraySlice<Step>, _ type: SchemaType) -> JSON {
    guard let step = steps.first else { return value }
    let rest = steps.dropFirst()
    switch (step, type) {
    case (.member(let name), .named(let owner)):
      var object = given ?? FieldWalk.neighbours[owner] ?? [:]
      if let more = FieldWalk.besides["\(owner).\(name)"] {
        for (key, other) in more.objectValue ?? JSONObject() { object[key] = other }
      }
      object[name] = set(value, in: object[name], rest, Schema.structs[owner]?[name]?.type ?? .any)
      return object
    case (.element, .list(let element)):
      return .array([set(value, in: given?[0], rest, element)] + (given?.arrayValue ?? []).dropFirst())
    case (.key, .map(let element)):
      var object = given ?? [:]
      object["k"] = set(value, in: object["k"], rest, element)
      return object
    default: return value
    }
  }
}

enum FieldWalk {
  /// Every field below the top of a kind that holds a value itself.
  static func fields(of kind: Kind) -> [WalkedField] {
    var result: [WalkedField] = []
    visit(kind, kind.name, [], .honoured, &result)
    return result.filter { $0.steps.count > 1 || !["apiVersion", "kind", "metadata"].contains($0.path) }
  }

  private static func visit(
    _ kind: Kind, _ owner: String, _ steps: [WalkedField.Step], _ above: FieldHonour, _ result: inout [WalkedField]
  ) {
    guard let schema = Schema.structs[owner] else { return }
    for name in schema.fieldNames {
      guard let field = schema[name] else { continue }
      let honour = above == .honoured ? field.honour : above
      var steps = steps + [.member(name)]
      var type = field.type
      while true {
        switch type {
        case .list(let element) where named(element) != nil:
          steps.append(.element)
          type = element
          continue
        case .map(let element) where named(element) != nil:
          steps.append(.key)
          type = element
          continue
        default: break
        }
        break
      }
      if case .named(let inner) = type, Schema.structs[inner] != nil {
        visit(kind, inner, steps, honour, &result)
      } else {
        result.append(
          WalkedField(kind: kind, steps: steps, place: "\(owner).\(name)", type: type, honour: honour))
      }
    }
  }

  private static func named(_ type: SchemaType) -> String? {
    switch type {
    case .named(let name): name
    case .list(let element), .map(let element): named(element)
    default: nil
    }
  }

  static func sample(_ type: SchemaType) -> JSON {
    switch type {
    case .string: "x"
    case .int32, .int64, .intOrString: 1
    case .bool: true
    case .quantity: "1"
    case .time: "2026-01-01T00:00:00Z"
    case .bytes: "eA=="
    case .any: ["x": "y"]
    case .list(let element): .array([sample(element)])
    case .map(let element): ["k": sample(element)]
    case .named: [:]
    }
  }

  /// Suspended, so that no pods are made; labelled, so that a selector can match.
  private static let jobBase: JSON = {
    var job = Manifest.job("", spec: ["suspend": true])
    job[path: ["spec", "template", "metadata", "labels"]] = ["k": "v"]
    return job
  }()

  /// What a kind's object needs at least.
  static func base(_ kind: Kind, _ name: String) -> JSON {
    var object: JSON =
      switch kind {
      case .jobs: jobBase
      case .cronjobs:
        [
          "spec": [
            "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": ["spec": jobBase["spec"] ?? .null],
          ]
        ]
      case .pods: Manifest.pod(name)
      case .namespaces: ["status": ["phase": "Active"]]
      case .services: ["spec": ["ports": [["port": 80, "protocol": "TCP"]]]]
      case .rolebindings, .clusterrolebindings:
        ["roleRef": ["apiGroup": .string(Kind.accessGroup), "kind": "ClusterRole", "name": "view"]]
      case .persistentvolumes: Storage.volume(name)
      case .persistentvolumeclaims: Storage.claim(name)
      case .storageclasses: ["provisioner": "kubernetes.io/no-provisioner"]
      default: [:]
      }
    object["apiVersion"] = .string(kind.apiVersion)
    object["kind"] = .string(kind.name)
    object[path: ["metadata", "name"]] = .string(name)
    return object
  }
}
