// Owns: a request's path and query → what they name: a kind, a namespace, a name, a subresource, and the options.
// It must not know what verbs do with them.

import ClusterProto
import CoordinatorCore

/// A path cut into parts and a query cut into pairs, both decoded.
struct HTTPTarget: Equatable, Sendable {
  var parts: [String] = []
  private var query: [(name: String, value: String)] = []

  init(_ target: String) throws(HTTPFailure) {
    // By bytes: splitting by characters would look for the borders of graphemes.
    let mark = target.utf8.firstIndex(of: 0x3F)
    let path = target[..<(mark ?? target.endIndex)]
    guard path.utf8.first == 0x2F else { throw HTTPFailure(400, "the request target is not a path") }
    for part in path.utf8.split(separator: 0x2F) { parts.append(try Self.decode(Substring(part), plusIsSpace: false)) }
    guard let mark else { return }
    for pair in target.utf8[target.utf8.index(after: mark)...].split(separator: 0x26) {
      let sides = pair.split(separator: 0x3D, maxSplits: 1, omittingEmptySubsequences: false)
      let value = sides.count == 2 ? try Self.decode(Substring(sides[1]), plusIsSpace: true) : ""
      query.append((try Self.decode(Substring(sides[0]), plusIsSpace: true), value))
    }
  }

  static func == (left: HTTPTarget, right: HTTPTarget) -> Bool {
    left.parts == right.parts && left.query.elementsEqual(right.query) { $0 == $1 }
  }

  /// The first value of an option.
  func text(_ name: String) -> String? { query.first { $0.name == name }?.value }

  /// All values of an option.
  func texts(_ name: String) -> [String] { query.filter { $0.name == name }.map(\.value) }

  /// Refuses a `timeout` that is no duration. How long a request may take is the server's to say.
  func checkTimeout() throws(HTTPFailure) {
    guard let text = text("timeout"), !text.isEmpty, let problem = GoDuration.problem(text) else { return }
    throw HTTPFailure(400, "invalid timeout specified in the request URL - \(problem)")
  }

  /// Kubernetes' reading of a boolean: anything but false and 0, in any case.
  func flag(_ name: String) -> Bool? {
    text(name).map { !["false", "0"].contains($0.lowercased()) }
  }

  func number(_ name: String) throws(HTTPFailure) -> Int64? {
    guard let text = text(name), !text.isEmpty else { return nil }
    guard let value = Int64(text) else {
      throw HTTPFailure(400, "\(name): strconv.ParseInt: parsing \(JSON.string(text).text): invalid syntax")
    }
    return value
  }

  private static func decode(_ text: Substring, plusIsSpace: Bool) throws(HTTPFailure) -> String {
    if !text.utf8.contains(where: { $0 == 0x25 || $0 == 0x2B }) { return String(text) }
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      switch byte {
      case 0x25:
        guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
          throw HTTPFailure(400, "invalid URL escape")
        }
        bytes.append(high << 4 | low)
      case 0x2B: bytes.append(plusIsSpace ? 0x20 : byte)
      default: bytes.append(byte)
      }
    }
    guard let decoded = String(validating: bytes, as: UTF8.self) else { throw HTTPFailure(400, "the URL is no UTF-8") }
    return decoded
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
  }
}

/// A resource that a path names.
struct HTTPResource: Equatable, Sendable {
  var kind: Kind
  var namespace = ""
  var name = ""
  var subresource = ""
  /// Whether it is the events of events.k8s.io: the stored events in another shape.
  var isModernEvents = false

  /// Whether it is what of that kind is used (metrics.k8s.io).
  var isUsage = false

  /// Reads `/api/v1/…` and `/apis/GROUP/v1/…`; nil for what names no resource that is served.
  init?(_ path: Path) {
    guard path.version == ServedResource.version(of: path.group), let kind = Kind(rawValue: path.plural) else {
      return nil
    }
    isModernEvents = kind == .events && path.group == EventsGroup.name
    isUsage = path.group == MetricsGroup.name && MetricsGroup.measures(kind) && path.rest.count < 2
    guard kind.group == path.group || isModernEvents || isUsage else { return nil }
    var rest = path.rest
    // What is proxied has a path of its own.
    if rest.dropFirst().first == "proxy" { rest = rest.prefix(2) }
    guard rest.count <= 2 else { return nil }
    namespace = path.namespace
    if !namespace.isEmpty, !kind.isNamespaced { return nil }
    self.kind = kind
    name = rest.popFirst() ?? ""
    subresource = rest.popFirst() ?? ""
    // Objects of a namespace are named with it; only lists and watches go across all.
    if kind.isNamespaced, namespace.isEmpty, !name.isEmpty { return nil }
  }

  /// `cronjobs.batch`: the resource of a path, where no group and version has it here.
  static func unservedName(_ parts: [String]) -> String? {
    guard let path = Path(parts),
      !ServedResource.all.contains(where: { $0.group == path.group && $0.plural == path.plural })
    else { return nil }
    return path.group.isEmpty ? path.plural : "\(path.plural).\(path.group)"
  }

  /// The parts of a resource's path, whatever they name.
  struct Path {
    var group = ""
    var version: String
    var namespace = ""
    var plural: String
    /// Name, subresource and what follows.
    var rest: ArraySlice<String>

    init?(_ parts: [String]) {
      switch parts.first {
      case "api" where parts.count > 2:
        version = parts[1]
        rest = parts[2...]
      case "apis" where parts.count > 3 && !parts[1].isEmpty:
        group = parts[1]
        version = parts[2]
        rest = parts[3...]
      default: return nil
      }
      // `namespaces/NAME/status` is about the Namespace itself.
      if rest.count > 2, rest.first == Kind.namespaces.plural,
        !ServedResource.partsOfNamespaces.contains(rest[rest.startIndex + 2])
      {
        namespace = rest[rest.startIndex + 1]
        rest = rest.dropFirst(2)
      }
      guard let plural = rest.popFirst() else { return nil }
      self.plural = plural
    }
  }
}

extension HTTPTarget {
  /// The options of all verbs, of which each reads its own.
  func options() throws(HTTPFailure) -> APIOptions {
    var options = APIOptions()
    options.labelSelector = text("labelSelector")
    options.fieldSelector = text("fieldSelector")
    options.limit = try number("limit")
    options.continueToken = text("continue")
    options.resourceVersion = text("resourceVersion")
    options.resourceVersionMatch = text("resourceVersionMatch")
    options.allowWatchBookmarks = flag("allowWatchBookmarks") ?? false
    options.sendInitialEvents = flag("sendInitialEvents")
    options.timeoutSeconds = try number("timeoutSeconds")
    if let dryRun = text("dryRun"), !dryRun.isEmpty {
      guard dryRun == "All" else {
        throw HTTPFailure(400, "dryRun: Unsupported value: \(JSON.string(dryRun).text): supported values: \"All\"")
      }
      options.dryRun = true
    }
    options.fieldManager = text("fieldManager")
    options.fieldValidation = text("fieldValidation")
    options.force = flag("force")
    options.gracePeriodSeconds = try number("gracePeriodSeconds")
    options.propagationPolicy = text("propagationPolicy")
    if options.propagationPolicy == nil, let orphan = flag("orphanDependents") {
      options.propagationPolicy = orphan ? "Orphan" : "Background"
    }
    options.includeObject = text("includeObject")
    options.container = text("container")
    options.follow = flag("follow") ?? false
    options.previous = flag("previous") ?? false
    options.tailLines = try number("tailLines")
    options.sinceSeconds = try number("sinceSeconds")
    if let since = text("sinceTime"), !since.isEmpty {
      guard let time = WallTime(rfc3339: since) else {
        throw HTTPFailure(400, "sinceTime: cannot parse \(JSON.string(since).text) as RFC 3339")
      }
      options.sinceTime = time
    }
    options.timestamps = flag("timestamps") ?? false
    options.limitBytes = try number("limitBytes")
    return options
  }
}
