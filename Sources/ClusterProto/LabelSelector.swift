// Label selectors: what they hold, matching, printing, and their form as an API object. Reading them from text is
// LabelSelectorParser's. Must not know what carries the labels.

/// A conjunction of requirements on labels; without requirements it matches everything.
package struct LabelSelector: Equatable, Hashable, Sendable {
  /// How a requirement compares. Equality and a set of one value match alike, but print differently.
  package enum Operator: Equatable, Hashable, Sendable {
    case equals, notEquals, `in`, notIn, exists, doesNotExist, greaterThan, lessThan
  }

  /// One condition on one label.
  package struct Requirement: Equatable, Hashable, Sendable {
    /// The label's key.
    package var key: String
    /// How its value is compared.
    package var operation: Operator
    /// Sorted, without duplicates; empty for `exists` and `doesNotExist`, one value for the comparisons.
    package var values: [String]
  }

  /// All have to hold.
  package var requirements: [Requirement] = []

  /// Matches everything.
  package init() {}

  /// Whether the labels meet every requirement. As in Kubernetes, `!=` and `notin` match where the key is absent.
  package func matches(_ labels: StringMap) -> Bool {
    requirements.allSatisfy { requirement in
      let value = labels[requirement.key]
      switch requirement.operation {
      case .equals, .in: return value.map { requirement.values.contains($0) } ?? false
      case .notEquals, .notIn: return value.map { !requirement.values.contains($0) } ?? true
      case .exists: return value != nil
      case .doesNotExist: return value == nil
      case .greaterThan, .lessThan:
        guard let value, let left = Int64(value), let text = requirement.values.first, let right = Int64(text) else {
          return false
        }
        return requirement.operation == .greaterThan ? left > right : left < right
      }
    }
  }

  /// A Kubernetes LabelSelector object ({matchLabels, matchExpressions}) that validation has let through. An absent
  /// one matches everything here; where Kubernetes has it match nothing, the caller has to ask first.
  package init(json: JSON?) {
    for entry in StringMap(json: json?["matchLabels"]) {
      requirements.append(Requirement(key: entry.key, operation: .equals, values: [entry.value]))
    }
    for expression in json?["matchExpressions"]?.arrayValue ?? [] {
      let operation: Operator
      switch expression["operator"]?.stringValue {
      case "In": operation = .in
      case "NotIn": operation = .notIn
      case "Exists": operation = .exists
      default: operation = .doesNotExist
      }
      let values = (expression["values"]?.arrayValue ?? []).compactMap(\.stringValue)
      requirements.append(
        Requirement(
          key: expression["key"]?.stringValue ?? "", operation: operation, values: Self.sortedUnique(values)))
    }
  }

  /// The same with one more requirement, of one value.
  package func requiring(_ key: String, _ operation: Operator, _ value: String) -> LabelSelector {
    var more = self
    more.requirements.append(Requirement(key: key, operation: operation, values: [value]))
    return more
  }

  /// As kubectl prints it: `a=b,c in (d,e),!f`, sorted by key.
  package var description: String {
    requirements.sorted { orderUTF8($0.key, $1.key) < 0 }.map { requirement in
      let list = requirement.values.joined(separator: ",")
      switch requirement.operation {
      case .equals: return "\(requirement.key)=\(list)"
      case .notEquals: return "\(requirement.key)!=\(list)"
      case .in: return "\(requirement.key) in (\(list))"
      case .notIn: return "\(requirement.key) notin (\(list))"
      case .exists: return requirement.key
      case .doesNotExist: return "!\(requirement.key)"
      case .greaterThan: return "\(requirement.key)>\(list)"
      case .lessThan: return "\(requirement.key)<\(list)"
      }
    }.joined(separator: ",")
  }

  static func sortedUnique(_ values: [String]) -> [String] {
    var result: [String] = []
    for value in values.sorted(by: { orderUTF8($0, $1) < 0 }) where result.last != value { result.append(value) }
    return result
  }
}

/// Why a label or field selector cannot be read, in Kubernetes' words.
package struct SelectorError: Error, Equatable, Sendable {
  /// What is wrong with the selector.
  package var message: String

  /// An error with this whole message.
  package init(message: String) { self.message = message }
}
