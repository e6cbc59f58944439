// Validation of fieldRef and resourceFieldRef, of variables and of volumes, with Kubernetes' messages
// (validateObjectFieldSelector, validateContainerResourceFieldSelector, ConvertDownwardAPIFieldLabel).

import ClusterProto

struct DownwardValidation {
  /// Where the value goes: other fields may be named in each.
  enum Place { case variable, volume }

  var errors = FieldErrors()
  private let place: Place

  init(_ place: Place) { self.place = place }

  private static let variableFields = [
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
  ]
  private static let volumeFields = [
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
  ]
  /// Fields that a pod has and that this place does not take, beside the two lists: any other is not known at all.
  private static let otherFields = [
    "spec.restartPolicy", "spec.schedulerName", "status.phase", "metadata.annotations", "metadata.labels", "spec.host",
  ]

  mutating func field(_ reference: JSON, _ path: String) {
    if (reference["apiVersion"]?.stringValue ?? "").isEmpty { return errors.required("\(path).apiVersion") }
    let field = reference["fieldPath"]?.stringValue ?? ""
    if field.isEmpty { return errors.required("\(path).fieldPath") }
    if reference["apiVersion"]?.stringValue != "v1" {
      let version = reference["apiVersion"]?.stringValue ?? ""
      return errors.invalid(
        "\(path).fieldPath", field, "error converting fieldPath: unsupported pod version: \(version)")
    }
    if let (name, key) = Self.subscripted(field) {
      guard ["metadata.labels", "metadata.annotations"].contains(name) else {
        return errors.invalid(
          "\(path).fieldPath", field, "error converting fieldPath: field label does not support subscript: \(field)")
      }
      for problem in Names.labelKeyErrors(name == "metadata.labels" ? key : key.lowercased()) {
        errors.invalid(path, name == "metadata.labels" ? key : key.lowercased(), problem)
      }
      return
    }
    let supported = place == .volume ? Self.volumeFields : Self.variableFields
    if supported.contains(field) { return }
    let known = Self.variableFields + Self.volumeFields + Self.otherFields
    if known.contains(field) {
      errors.unsupported("\(path).fieldPath", field, supported)
    } else {
      errors.invalid("\(path).fieldPath", field, "error converting fieldPath: field label not supported: \(field)")
    }
  }

  /// `metadata.labels['a']` → its two parts.
  private static func subscripted(_ field: String) -> (name: String, key: String)? {
    guard field.hasSuffix("']") else { return nil }
    let parts = field.dropLast(2).split(separator: "[", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[1].hasPrefix("'"), !parts[0].isEmpty else { return nil }
    return (String(parts[0]), String(parts[1].dropFirst()))
  }

  private static let resources = [
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
  ]
  private static let byteDivisors = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"]

  mutating func resource(_ reference: JSON, _ path: String) {
    let resource = reference["resource"]?.stringValue ?? ""
    if place == .volume, (reference["containerName"]?.stringValue ?? "").isEmpty {
      errors.required("\(path).containerName")
    } else if resource.isEmpty {
      errors.required("\(path).resource")
    } else if !Self.resources.contains(resource) {
      // Kubernetes knows huge pages too; no node here has any.
      errors.unsupported("\(path).resource", resource, Self.resources)
    }
    let divisor = reference["divisor"]?.stringValue ?? "0"
    if Quantity.parseMillis(divisor) == 0 { return }
    switch resource {
    case "limits.cpu", "requests.cpu":
      if Quantity.parseMillis(divisor) == 1 || Quantity.parseMillis(divisor) == 1000 { return }
      errors.invalid(
        "\(path).divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource")
    case "limits.memory", "requests.memory", "limits.ephemeral-storage", "requests.ephemeral-storage":
      if Self.byteDivisors.contains(divisor) { return }
      let kind = resource.hasSuffix(".memory") ? "memory" : "local ephemeral storage"
      errors.invalid(
        "\(path).divisor", resource,
        "only divisor's values \(Self.byteDivisors.joined(separator: ", ")) are supported with the \(kind) resource")
    default: break
    }
  }

  /// One file of a downwardAPI source. Kubernetes names the source, not the file.
  mutating func file(_ file: JSON, _ path: String) {
    let target = file["path"]?.stringValue ?? ""
    if target.isEmpty { errors.required("\(path).path") }
    VolumeValidation.local(target, "\(path).path", into: &errors)
    if let reference = file["fieldRef"] {
      field(reference, "\(path).fieldRef")
      if file["resourceFieldRef"] != nil {
        errors.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
      }
    } else if let reference = file["resourceFieldRef"] {
      resource(reference, "\(path).resourceFieldRef")
    } else {
      errors.required(path, "one of fieldRef and resourceFieldRef is required")
    }
    VolumeValidation.mode(file["mode"], "\(path).mode", into: &errors)
  }
}
