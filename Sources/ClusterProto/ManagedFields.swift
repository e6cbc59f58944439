// metadata.managedFields: which manager wrote or applied which fields of an object. The sets are kept as their trees
// and shared between objects of one shape. It must not know how sets are computed or what owning a field means.

/// A set of fields in the API's `FieldsV1` form (`f:` member, `k:` list element by keys, `v:` element of a set, `.` the
/// field itself). Immutable and shared, so that a thousand objects of one shape hold one.
package final class FieldsV1: Sendable, Equatable, Hashable {
  /// The set as the API shows it: an object.
  package let json: JSON

  /// Takes each value as it stands.
  package init(json: JSON) { self.json = json }

  package static func == (left: FieldsV1, right: FieldsV1) -> Bool { left === right || left.json == right.json }

  package func hash(into hasher: inout Hasher) { hasher.combine(json) }
}

/// One entry of metadata.managedFields. Manager, operation, subresource (and for updates the version) identify it.
package struct ManagedFieldsEntry: Equatable, Sendable {
  /// Who owns the fields.
  package var manager: String
  /// `Apply` or `Update`.
  package var operation: String
  /// In which version the fields were named.
  package var apiVersion: String
  /// When it last changed them.
  package var time: WallTime?
  /// The fields themselves.
  package var fields: FieldsV1
  /// `status` or empty.
  package var subresource: String

  /// The operation of server-side apply.
  package static let apply = "Apply"
  /// The operation of every other write.
  package static let update = "Update"

  /// Takes each value as it stands.
  package init(
    manager: String, operation: String, apiVersion: String, time: WallTime?, fields: FieldsV1, subresource: String = ""
  ) {
    self.manager = manager
    self.operation = operation
    self.apiVersion = apiVersion
    self.time = time
    self.fields = fields
    self.subresource = subresource
  }

  /// Reads one entry; nil for one that Kubernetes could not decode either (operation, version or type of the set).
  package init?(json: JSON) {
    guard let operation = json["operation"]?.stringValue, [Self.apply, Self.update].contains(operation),
      let version = json["apiVersion"]?.stringValue, !version.isEmpty, json["fieldsType"]?.stringValue == "FieldsV1"
    else { return nil }
    let fields = json["fieldsV1"] ?? .object(JSONObject())
    guard fields.objectValue != nil else { return nil }
    self.init(
      manager: json["manager"]?.stringValue ?? "", operation: operation, apiVersion: version,
      time: json["time"]?.stringValue.flatMap { WallTime(rfc3339: $0) }, fields: FieldsV1(json: fields),
      subresource: json["subresource"]?.stringValue ?? "")
  }

  /// The entry as metadata.managedFields has it.
  package var json: JSON {
    var members: [(String, JSON)] = [
      ("apiVersion", .string(apiVersion)), ("fieldsType", "FieldsV1"), ("fieldsV1", fields.json),
      ("manager", .string(manager)), ("operation", .string(operation)),
    ]
    if !subresource.isEmpty { members.append(("subresource", .string(subresource))) }
    if let time { members.append(("time", .string(time.rfc3339))) }
    return .object(JSONObject(entries: members))
  }

  /// Entries that a list may have: more is no list of managers.
  package static let listLimit = 1_000

  /// All entries of a `managedFields` list; nil when one of them cannot be read or there are too many.
  package static func list(json: JSON?) -> [ManagedFieldsEntry]? {
    if let count = json?.arrayValue?.count, count > listLimit { return nil }
    var result: [ManagedFieldsEntry] = []
    for element in json?.arrayValue ?? [] {
      guard let entry = ManagedFieldsEntry(json: element) else { return nil }
      result.append(entry)
    }
    return result
  }

  /// Bytes of a manager's name.
  package static let managerLimit = 128

  /// The manager that a request without fieldManager has: its User-Agent before the first `/`, what can be printed of
  /// it, cut to the limit.
  package static func manager(userAgent: String) -> String {
    var result = String.UnicodeScalarView()
    var bytes = 0
    for scalar in userAgent.unicodeScalars {
      if scalar == "/" { break }
      if !isPrintable(scalar) { continue }
      bytes += UTF8.width(scalar)
      if bytes > managerLimit { break }
      result.append(scalar)
    }
    return String(result)
  }

  /// Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII space.
  package static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: scalar == " "
    default: true
    }
  }
}
