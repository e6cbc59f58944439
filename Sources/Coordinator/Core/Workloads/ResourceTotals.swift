// Lists of resources, and what a pod asks for and may use in all, as Kubernetes adds it up: its containers and sidecars
// run at once, each init container beside the sidecars before it. Reads validated specs.

import ClusterProto

/// Amounts by name.
struct ResourceTotals: Equatable, Sendable {
  private(set) var amounts: [String: QuantityValue] = [:]

  init() {}

  init(_ list: JSON?) {
    for (name, value) in list?.objectValue ?? JSONObject() { amounts[name] = QuantityValue(value) }
  }

  subscript(name: String) -> QuantityValue? {
    get { amounts[name] }
    set { amounts[name] = newValue }
  }

  var names: [String] { amounts.keys.sorted() }
  var isEmpty: Bool { amounts.isEmpty }

  /// Those of these names.
  func masked(_ names: some Sequence<String>) -> ResourceTotals {
    var result = ResourceTotals()
    for name in names { result.amounts[name] = amounts[name] }
    return result
  }

  mutating func add(_ other: ResourceTotals) {
    for name in other.names { amounts[name, default: .zero] += other.amounts[name] ?? .zero }
  }

  mutating func take(_ other: ResourceTotals) {
    for name in other.names { amounts[name, default: .zero] -= other.amounts[name] ?? .zero }
  }

  /// As a list of resources in JSON.
  var json: JSON { .object(JSONObject(entries: names.map { ($0, .string(amounts[$0]?.description ?? "0")) })) }

  /// As messages of quotas have it.
  var text: String { names.map { "\($0)=\(amounts[$0]?.description ?? "0")" }.joined(separator: ",") }

  /// What all containers of a pod come to. `group`: `requests` or `limits`.
  static func ofPod(_ spec: JSON, _ group: String) -> ResourceTotals {
    var sidecars = ResourceTotals()
    var most = ResourceTotals()
    for container in spec["initContainers"]?.arrayValue ?? [] {
      let own = ResourceTotals(container[path: ["resources", group]])
      var beside = sidecars
      beside.add(own)
      if container["restartPolicy"]?.stringValue == "Always" { sidecars = beside }
      most.raise(to: beside)
    }
    var result = sidecars
    for container in spec["containers"]?.arrayValue ?? [] {
      result.add(ResourceTotals(container[path: ["resources", group]]))
    }
    result.raise(to: most)
    return result
  }

  private mutating func raise(to other: ResourceTotals) {
    for name in other.names {
      guard let amount = other.amounts[name] else { continue }
      if amounts[name].map({ $0.millis < amount.millis }) ?? true { amounts[name] = amount }
    }
  }
}
