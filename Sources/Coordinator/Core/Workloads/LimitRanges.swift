// LimitRanges: what a pod of a namespace gets of them where it says nothing, and whether it may be there, in the order
// and the words of Kubernetes' LimitRanger. Which there are is followed here; validation of the kind is its
// descriptor's.

import ClusterProto

/// The LimitRanges of one namespace.
struct NamespaceLimits: Sendable {
  struct Item: Sendable {
    var type: String
    var min: ResourceTotals
    var max: ResourceTotals
    var standard: ResourceTotals
    var standardRequest: ResourceTotals
    var ratio: ResourceTotals

    init(_ json: JSON) {
      type = json["type"]?.stringValue ?? ""
      min = ResourceTotals(json["min"])
      max = ResourceTotals(json["max"])
      standard = ResourceTotals(json["default"])
      standardRequest = ResourceTotals(json["defaultRequest"])
      ratio = ResourceTotals(json["maxLimitRequestRatio"])
    }
  }

  /// Rises with each change: specs that were completed by former ones are made anew. 0 is that of none.
  var version = 0
  /// By the objects' names.
  var ranges: [String: [Item]] = [:]
  var sorted: [[Item]] { ranges.keys.sorted().compactMap { ranges[$0] } }

  /// The annotation that tells what was filled in.
  static let annotation = "kubernetes.io/limit-ranger"

  /// Fills in what containers do not say; returns the annotation's text, nil where nothing was filled in.
  func complete(_ spec: inout JSON) -> String? {
    var notes: [String] = []
    for range in sorted {
      var limits = ResourceTotals()
      var requests = ResourceTotals()
      for item in range where item.type == "Container" {
        for name in item.standard.names { limits[name] = item.standard[name] }
        for name in item.standardRequest.names { requests[name] = item.standardRequest[name] }
      }
      for (list, what) in [("containers", "container"), ("initContainers", "init container")] {
        guard var containers = spec[list]?.arrayValue else { continue }
        for index in containers.indices {
          notes += Self.complete(&containers[index], requests, limits, what)
        }
        spec[list] = .array(containers)
      }
    }
    return notes.isEmpty ? nil : "LimitRanger plugin set: " + notes.joined(separator: "; ")
  }

  private static func complete(
    _ container: inout JSON, _ requests: ResourceTotals, _ limits: ResourceTotals, _ what: String
  ) -> [String] {
    var notes: [String] = []
    for (group, amounts) in [("requests", requests), ("limits", limits)] {
      var list = container[path: ["resources", group]]?.objectValue ?? JSONObject()
      let missing = amounts.names.filter { list[$0] == nil }
      guard !missing.isEmpty else { continue }
      for name in missing { list[name] = amounts[name].map { JSON.string($0.description) } }
      var resources = container["resources"] ?? .object(JSONObject())
      resources[group] = .object(list)
      container["resources"] = resources
      let kind = group == "requests" ? "request" : "limit"
      notes.append("\(missing.joined(separator: ", ")) \(kind) for \(what) \(container["name"]?.stringValue ?? "")")
    }
    return notes
  }

  /// Why there may be no such pod; nil: there may. Of several LimitRanges the first that forbids it speaks.
  func problem(_ spec: JSON) -> String? {
    for range in sorted {
      var problems: [String] = []
      for item in range { problems += Self.problems(spec, item) }
      var seen: Set<String> = []
      problems = problems.filter { seen.insert($0).inserted }
      if problems.count == 1 { return problems[0] }
      if !problems.isEmpty { return "[\(problems.joined(separator: ", "))]" }
    }
    return nil
  }

  private static func problems(_ spec: JSON, _ item: Item) -> [String] {
    switch item.type {
    case "Container":
      let containers = (spec["containers"]?.arrayValue ?? []) + (spec["initContainers"]?.arrayValue ?? [])
      return containers.flatMap { container in
        problems(
          item, ResourceTotals(container[path: ["resources", "requests"]]),
          ResourceTotals(container[path: ["resources", "limits"]]))
      }
    case "Pod": return problems(item, ResourceTotals.ofPod(spec, "requests"), ResourceTotals.ofPod(spec, "limits"))
    default: return []
    }
  }

  /// The same of a claim, in its own words.
  func problem(ofClaim spec: JSON?) -> String? {
    guard let asked = QuantityValue(spec?[path: ["resources", "requests", "storage"]]) else { return nil }
    for item in sorted.joined() where item.type == "PersistentVolumeClaim" {
      let text = "storage usage per \(item.type) is"
      if let bound = item.min["storage"], asked.millis < bound.millis {
        return "minimum \(text) \(bound.description), but request is \(asked.description)"
      }
      if let bound = item.max["storage"], asked.millis > bound.millis {
        return "maximum \(text) \(bound.description), but request is \(asked.description)"
      }
    }
    return nil
  }

  private static func problems(_ item: Item, _ requests: ResourceTotals, _ limits: ResourceTotals) -> [String] {
    var result: [String] = []
    for name in item.min.names {
      guard let bound = item.min[name] else { continue }
      let text = "minimum \(name) usage per \(item.type) is \(bound.description)"
      guard let request = requests[name] else {
        result.append("\(text).  No request is specified")
        continue
      }
      if request.millis < bound.millis {
        result.append("\(text), but request is \(request.description)")
      } else if let limit = limits[name], limit.millis < bound.millis {
        result.append("\(text), but limit is \(limit.description)")
      }
    }
    for name in item.max.names {
      guard let bound = item.max[name] else { continue }
      let text = "maximum \(name) usage per \(item.type) is \(bound.description)"
      guard let limit = limits[name] else {
        result.append("\(text).  No limit is specified")
        continue
      }
      if limit.millis > bound.millis {
        result.append("\(text), but limit is \(limit.description)")
      } else if let request = requests[name], request.millis > bound.millis {
        result.append("\(text), but request is \(request.description)")
      }
    }
    for name in item.ratio.names {
      if let bound = item.ratio[name] {
        result += ratioProblem(
          "\(name) max limit to request ratio per \(item.type) is \(bound.description)", bound,
          requests[name], limits[name])
      }
    }
    return result
  }

  private static func ratioProblem(
    _ text: String, _ bound: QuantityValue, _ request: QuantityValue?, _ limit: QuantityValue?
  ) -> [String] {
    guard let request, request.millis != 0 else { return ["\(text), but no request is specified or request is 0"] }
    guard let limit, limit.millis != 0 else { return ["\(text), but no limit is specified or limit is 0"] }
    guard exceeds(limit.millis, bound.millis, request.millis) else { return [] }
    return ["\(text), but provided ratio is \(decimal(limit.millis, request.millis))"]
  }

  /// Whether a limit is more than `bound` times the request, all in thousandths.
  static func exceeds(_ limit: Int128, _ bound: Int128, _ request: Int128) -> Bool {
    product(bound, request) < limit * 1000
  }

  /// In millionths. That of the largest amounts has more bits than there are: then it is the largest.
  static func product(_ left: Int128, _ right: Int128) -> Int128 {
    let (product, isBeyond) = left.multipliedReportingOverflow(by: right)
    return isBeyond ? .max : product
  }

  /// A ratio with six digits behind the point.
  static func decimal(_ above: Int128, _ below: Int128) -> String {
    let millionths = (above * 1_000_000 * 2 + below) / (below * 2)
    let rest = String(millionths % 1_000_000)
    return "\(millionths / 1_000_000).\(String(repeating: "0", count: 6 - rest.count))\(rest)"
  }
}

extension CoordinatorCore {
  mutating func observeLimitRange(_ change: ObjectChange) {
    guard case .other(let object)? = change.subject, object.kind == .limitranges else { return }
    let (namespace, name) = (object.meta.namespace, object.meta.name)
    if case .other(let after)? = change.after {
      workloads.limits[namespace, default: NamespaceLimits()].ranges[name] =
        (after.body["spec"]?["limits"]?.arrayValue ?? []).map { NamespaceLimits.Item($0) }
    } else {
      workloads.limits[namespace]?.ranges[name] = nil
      if workloads.limits[namespace]?.ranges.isEmpty == true { workloads.limits[namespace] = nil }
    }
    workloads.limitsVersion += 1
    workloads.limits[namespace]?.version = workloads.limitsVersion
    refusalMayBeOver(in: namespace)
  }

  /// Why there may be no such claim; nil: there may, or it is none.
  func limitProblem(ofClaim object: APIObject) -> String? {
    guard case .other(let claim) = object, claim.kind == .persistentvolumeclaims else { return nil }
    return workloads.limits[claim.meta.namespace]?.problem(ofClaim: claim.body["spec"])
  }

  /// The mutating part of the admission of a pod that a client creates.
  func admitLimits(_ json: inout JSON) {
    guard let limits = workloads.limits[json[path: ["metadata", "namespace"]]?.stringValue ?? ""],
      var spec = json["spec"], let note = limits.complete(&spec)
    else { return }
    json["spec"] = spec
    json[path: ["metadata", "annotations", NamespaceLimits.annotation]] = .string(note)
    json[path: ["status", "qosClass"]] = .string(QualityOfService.of(PodSpec(json: spec)).rawValue)
  }
}
