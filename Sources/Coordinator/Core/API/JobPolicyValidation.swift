// Validation of a Job's indexes and policies with Kubernetes' messages: backoffLimitPerIndex, maxFailedIndexes,
// managedBy, podFailurePolicy, successPolicy.
// Whether this version acts on them is Honesty's: a manifest that is wrong in itself is told so first.

import ClusterProto

extension JobValidation {
  /// maxPodFailurePolicyRules and its like.
  private static let rulesLimit = 20
  private static let exitCodesLimit = 255
  private static let indexesLimit: Int64 = 100_000
  private static let manyIndexesLimit: Int64 = 10_000
  private static let succeededIndexesBytes = 64 * 1024

  mutating func perIndex(_ spec: JSON) {
    for name in ["backoffLimitPerIndex", "maxFailedIndexes"] { notNegative(spec, name) }
    if spec["maxFailedIndexes"] != nil, spec["backoffLimitPerIndex"] == nil {
      errors.required("spec.backoffLimitPerIndex", "when maxFailedIndexes is specified")
    }
    if let manager = spec["managedBy"]?.stringValue { managedBy(manager) }
  }

  /// IsDomainPrefixedPath, and a length.
  private mutating func managedBy(_ manager: String) {
    let parts = manager.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    if manager.isEmpty {
      errors.required("spec.managedBy")
    } else if parts.count != 2 || parts.contains(where: \.isEmpty) {
      errors.invalid("spec.managedBy", manager, "must be a domain-prefixed path (such as \"acme.io/foo\")")
    } else {
      for problem in Names.subdomainErrors(String(parts[0])) {
        errors.invalid("spec.managedBy", String(parts[0]), problem)
      }
      if !parts[1].utf8.allSatisfy(Self.isPathByte) {
        let rule = #"Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')"#
        errors.invalid("spec.managedBy", String(parts[1]), rule)
      }
    }
    if manager.utf8.count > 63 { errors.tooLong("spec.managedBy", bytes: 63) }
  }

  /// What an HTTP path may have by RFC 3986.
  private static func isPathByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      return true
    default: return "/-._~%!$&'()*+,;=:".utf8.contains(byte)
    }
  }

  mutating func indexed(_ spec: JSON) {
    let completions = spec["completions"]?.intValue
    let parallelism = spec["parallelism"]?.intValue
    let failed = spec["maxFailedIndexes"]?.intValue
    if completions == nil { errors.required("spec.completions", "when completion mode is Indexed") }
    if let parallelism, parallelism > Self.indexesLimit {
      errors.invalid(
        "spec.parallelism", .int(parallelism), "must be less than or equal to 100000 when completion mode is Indexed")
    }
    if let failed, let completions, failed > completions {
      errors.invalid("spec.maxFailedIndexes", .int(failed), "must be less than or equal to completions")
    }
    if let failed, failed > Self.indexesLimit {
      errors.invalid("spec.maxFailedIndexes", .int(failed), "must be less than or equal to 100000")
    }
    guard let completions, completions > Self.indexesLimit, spec["backoffLimitPerIndex"] != nil else { return }
    let bound =
      "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"
    if failed == nil {
      errors.required("spec.maxFailedIndexes", "must be specified when completions is above 100000")
    }
    if let parallelism, parallelism > Self.manyIndexesLimit {
      errors.invalid("spec.parallelism", .int(parallelism), bound)
    }
    if let failed, failed > Self.manyIndexesLimit { errors.invalid("spec.maxFailedIndexes", .int(failed), bound) }
  }

  mutating func notIndexed(_ spec: JSON) {
    for name in ["backoffLimitPerIndex", "maxFailedIndexes"] {
      if let value = spec[name] { errors.invalid("spec.\(name)", value, "requires indexed completion mode") }
    }
  }

  // podFailurePolicy.

  mutating func podFailurePolicy(_ spec: JSON) {
    guard let policy = spec["podFailurePolicy"] else { return }
    let rules = policy["rules"]?.arrayValue ?? []
    tooMany("spec.podFailurePolicy.rules", rules.count, Self.rulesLimit)
    let template = spec[path: ["template", "spec"]] ?? .null
    let containers = ["containers", "initContainers"].flatMap { template[$0]?.arrayValue ?? [] }
    let names = Set(containers.compactMap { $0["name"]?.stringValue })
    for (index, rule) in rules.enumerated() {
      let at = "spec.podFailurePolicy.rules[\(index)]"
      action(rule, "\(at).action", hasPerIndex: spec["backoffLimitPerIndex"] != nil)
      let conditions = rule["onPodConditions"]?.arrayValue ?? []
      if let exitCodes = rule["onExitCodes"] { self.exitCodes(exitCodes, "\(at).onExitCodes", names) }
      podConditions(conditions, "\(at).onPodConditions")
      if rule["onExitCodes"] != nil, !conditions.isEmpty {
        errors.invalid(at, "specifying both OnExitCodes and OnPodConditions is not supported")
      }
      if rule["onExitCodes"] == nil, conditions.isEmpty {
        errors.invalid(at, "specifying one of OnExitCodes and OnPodConditions is required")
      }
    }
  }

  private mutating func action(_ rule: JSON, _ at: String, hasPerIndex: Bool) {
    let action = rule["action"]?.stringValue ?? ""
    if action == "FailIndex" {
      if !hasPerIndex { errors.invalid(at, action, "requires the backoffLimitPerIndex to be set") }
    } else {
      oneOf(action, ["Count", "FailIndex", "FailJob", "Ignore"], at)
    }
  }

  private mutating func exitCodes(_ requirement: JSON, _ at: String, _ containers: Set<String>) {
    let comparison = requirement["operator"]?.stringValue ?? ""
    oneOf(comparison, ["In", "NotIn"], "\(at).operator")
    if let name = requirement["containerName"]?.stringValue, !containers.contains(name) {
      errors.invalid(
        "\(at).containerName", name, "must be one of the container or initContainer names in the pod template")
    }
    let values = requirement["values"]?.arrayValue ?? []
    if values.isEmpty { errors.invalid("\(at).values", .array([]), "at least one value is required") }
    tooMany("\(at).values", values.count, Self.exitCodesLimit)
    var seen: Set<Int64> = []
    let codes = values.map { $0.intValue ?? 0 }
    for (index, code) in codes.enumerated() {
      if comparison == "In", code == 0 {
        errors.invalid("\(at).values[\(index)]", .int(0), "must not be 0 for the In operator")
      }
      if !seen.insert(code).inserted { errors.duplicate("\(at).values[\(index)]", .int(code)) }
    }
    if zip(codes, codes.dropFirst()).contains(where: { $0 > $1 }) {
      errors.invalid("\(at).values", .array(values), "must be ordered")
    }
  }

  private mutating func podConditions(_ patterns: [JSON], _ at: String) {
    tooMany(at, patterns.count, Self.rulesLimit)
    for (index, pattern) in patterns.enumerated() {
      let type = pattern["type"]?.stringValue ?? ""
      for problem in Names.labelKeyErrors(type) { errors.invalid("\(at)[\(index)].type", type, problem) }
      oneOf(pattern["status"]?.stringValue ?? "", ["False", "True", "Unknown"], "\(at)[\(index)].status")
    }
  }

  // successPolicy.

  mutating func successPolicy(_ spec: JSON) {
    guard let policy = spec["successPolicy"] else { return }
    let rules = policy["rules"]?.arrayValue ?? []
    guard spec["completionMode"]?.stringValue == "Indexed" else {
      // The value prints as Kubernetes' own structure does, which has no names for JSON.
      let shown = rules.map { rule in
        let indexes = (rule["succeededIndexes"] ?? .null).text
        return "{\"SucceededIndexes\":\(indexes),\"SucceededCount\":\((rule["succeededCount"] ?? .null).text)}"
      }
      errors.invalid(
        "spec.successPolicy", shown: "{\"Rules\":[\(shown.joined(separator: ","))]}", "requires indexed completion mode"
      )
      return
    }
    if rules.isEmpty {
      errors.required(
        "spec.successPolicy.rules", "at least one rules must be specified when the successPolicy is specified")
    }
    tooMany("spec.successPolicy.rules", rules.count, Self.rulesLimit)
    for (index, rule) in rules.enumerated() {
      successRule(rule, "spec.successPolicy.rules[\(index)]", completions: spec["completions"]?.intValue ?? 0)
    }
  }

  private mutating func successRule(_ rule: JSON, _ at: String, completions: Int64) {
    let indexes = rule["succeededIndexes"]?.stringValue
    let count = rule["succeededCount"]?.intValue
    if indexes == nil, count == nil {
      errors.required(at, "at least one of succeededCount or succeededIndexes must be specified")
    }
    var total: Int64 = 0
    if let indexes {
      if indexes.utf8.count > Self.succeededIndexesBytes {
        errors.tooLong("\(at).succeededIndexes", bytes: Self.succeededIndexesBytes)
      }
      switch Self.countIndexes(indexes, completions) {
      case .success(let number): total = number
      case .failure(let problem):
        errors.invalid("\(at).succeededIndexes", indexes, "error parsing succeededIndexes: \(problem.text)")
      }
    }
    guard let count else { return }
    let field = "\(at).succeededCount"
    if count < 0 { errors.invalid(field, .int(count), Self.notNegative) }
    if count > completions {
      errors.invalid(
        field, .int(count), "must be less than or equal to \(completions) (the number of specified completions)")
    }
    if indexes != nil, count > total {
      errors.invalid(
        field, .int(count),
        "must be less than or equal to \(total) (the number of indexes in the specified succeededIndexes field)")
    }
  }

  struct IndexProblem: Error { var text: String }

  /// How many indexes `0,2-4` names; rising numbers and intervals below `completions`.
  static func countIndexes(_ text: String, _ completions: Int64) -> Result<Int64, IndexProblem> {
    var total: Int64 = 0
    var last: Int64 = -1
    if text.isEmpty { return .success(0) }
    for interval in text.split(separator: ",", omittingEmptySubsequences: false) {
      let limits = interval.split(separator: "-", omittingEmptySubsequences: false)
      if limits.count > 2 {
        return .failure(
          IndexProblem(
            text: "the fragment \(JSON.string(String(interval)).text) violates the requirement that an index interval "
              + "can have at most two parts separated by '-'"))
      }
      for (position, limit) in limits.enumerated() {
        let shown = JSON.string(String(limit)).text
        guard let number = Int64(limit), number <= Int64(Int32.max) else {
          return .failure(IndexProblem(text: "cannot convert string to integer for index: \(shown)"))
        }
        if number >= completions { return .failure(IndexProblem(text: "too large index: \(shown)")) }
        if last >= number {
          return .failure(
            IndexProblem(text: "non-increasing order, previous: \(last), current: \(number)"))
        }
        total += position == 0 ? 1 : number - last
        last = number
      }
    }
    return .success(total)
  }

  // What the rules share.

  private mutating func tooMany(_ field: String, _ count: Int, _ limit: Int) {
    if count > limit { errors.tooMany(field, count, limit: limit) }
  }

  private mutating func oneOf(_ value: String, _ supported: [String], _ field: String) {
    if value.isEmpty {
      let list = supported.map { "\"\($0)\"" }.joined(separator: " ")
      errors.required(field, "valid values: [\(list)]")
    } else if !supported.contains(value) {
      errors.unsupported(field, value, supported)
    }
  }
}
