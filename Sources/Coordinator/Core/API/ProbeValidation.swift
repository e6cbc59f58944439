// Validation of probes and the handlers of life-cycle hooks with Kubernetes' messages (validateProbe, validateHandler).
// What this version does not run of them is the schema's to say.

import ClusterProto

struct ProbeValidation {
  var errors = FieldErrors()
  /// The pod's terminationGracePeriodSeconds; nil: it has none, which is another's to say.
  var grace: Int64?

  private static let handlers = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"]

  init(grace: Int64? = nil) { self.grace = grace }

  /// All hooks and probes of a container.
  mutating func container(_ container: JSON, _ at: String) {
    for hook in ["postStart", "preStop"] {
      if let action = container[path: ["lifecycle", hook]] { handler(action, "\(at).lifecycle.\(hook)") }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
      guard let probe = container[name] else { continue }
      self.probe(probe, "\(at).\(name)")
      if name != "readinessProbe", let threshold = probe["successThreshold"]?.intValue, threshold != 1 {
        errors.invalid("\(at).\(name).successThreshold", .int(threshold), "must be 1")
      }
      if name == "readinessProbe", let grace = probe["terminationGracePeriodSeconds"]?.intValue {
        errors.invalid(
          "\(at).\(name).terminationGracePeriodSeconds", .int(grace), "must not be set for readinessProbes")
      }
    }
  }

  private mutating func probe(_ probe: JSON, _ at: String) {
    handler(probe, at)
    for name in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
      guard let number = probe[name]?.intValue, number < 0 else { continue }
      errors.invalid("\(at).\(name)", .int(number), JobValidation.notNegative)
    }
    if let grace = probe["terminationGracePeriodSeconds"]?.intValue, grace <= 0 {
      errors.invalid("\(at).terminationGracePeriodSeconds", .int(grace), "must be greater than 0")
    }
  }

  private mutating func handler(_ probe: JSON, _ at: String) {
    let given = Self.handlers.filter { probe[$0] != nil }
    if given.isEmpty { errors.required(at, "must specify a handler type") }
    for extra in given.dropFirst() { errors.forbidden("\(at).\(extra)", "may not specify more than 1 handler type") }
    guard let name = given.first, let action = probe[name] else { return }
    switch name {
    case "exec":
      if (action["command"]?.arrayValue ?? []).isEmpty { errors.required("\(at).exec.command") }
    case "httpGet":
      if (action["path"]?.stringValue ?? "").isEmpty { errors.required("\(at).httpGet.path") }
      port(action["port"], "\(at).httpGet.port")
      let scheme = action["scheme"]?.stringValue ?? ""
      if !["HTTP", "HTTPS"].contains(scheme) {
        errors.unsupported("\(at).httpGet.scheme", scheme, ["HTTP", "HTTPS"])
      }
      for header in action["httpHeaders"]?.arrayValue ?? [] {
        let name = header["name"]?.stringValue ?? ""
        if !Self.isHeaderName(name) { errors.invalid("\(at).httpGet.httpHeaders", name, Self.headerName) }
      }
    case "tcpSocket": port(action["port"], "\(at).tcpSocket.port")
    case "sleep":
      let seconds = action["seconds"]?.intValue ?? 0
      guard let grace, seconds < 0 || seconds > grace else { return }
      errors.invalid(
        "\(at).sleep", .int(seconds), "must be non-negative and less than terminationGracePeriodSeconds (\(grace))")
    default:
      let number = action["port"]?.intValue ?? 0
      if !(1...65535).contains(number) { errors.invalid("\(at).grpc.port", .int(number), Self.portRange) }
    }
  }

  private static let headerName =
    "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
    + "validation is '[-A-Za-z0-9]+')"

  /// IsHTTPHeaderName.
  private static func isHeaderName(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy {
        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45
      }
  }

  private static let portRange = "must be between 1 and 65535, inclusive"

  /// ValidatePortNumOrName.
  private mutating func port(_ json: JSON?, _ at: String) {
    if let name = json?.stringValue {
      for problem in Self.nameProblems(name) { errors.invalid(at, name, problem) }
    } else {
      let number = json?.intValue ?? 0
      if !(1...65535).contains(number) { errors.invalid(at, .int(number), Self.portRange) }
    }
  }

  /// IsValidPortName.
  private static func nameProblems(_ name: String) -> [String] {
    let bytes = Array(name.utf8)
    let letters = bytes.filter { (97...122).contains($0) }
    var problems: [String] = []
    if bytes.count > 15 { problems.append("must be no more than 15 characters") }
    if !bytes.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }) {
      problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    }
    if letters.isEmpty { problems.append("must contain at least one letter (a-z)") }
    if zip(bytes, bytes.dropFirst()).contains(where: { $0 == 45 && $1 == 45 }) {
      problems.append("must not contain consecutive hyphens")
    }
    if bytes.first == 45 || bytes.last == 45 { problems.append("must not begin or end with a hyphen") }
    return problems
  }
}
