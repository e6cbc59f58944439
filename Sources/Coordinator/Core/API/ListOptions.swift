// The options of get, list and watch that say which version is to be shown: what they may be, and Kubernetes' refusals.
// This server always has the latest state and no other.

import ClusterProto

extension CoordinatorCore {
  /// The version that a read names; nil for none and for 0, which both mean whatever there is.
  func namedVersion(_ options: APIOptions) throws(APIFailure) -> Int64? {
    guard let text = options.resourceVersion, !text.isEmpty, text != "0" else { return nil }
    guard let version = Int64(text), version >= 0 else {
      throw .badRequest(
        "resourceVersion: Invalid value: \"\(text)\": strconv.ParseUint: parsing \"\(text)\": invalid syntax")
    }
    guard version > state.resourceVersion else { return version }
    throw APIFailure(
      code: 504, reason: "Timeout",
      message: "Too large resource version: \(version), current: \(state.resourceVersion)",
      details: [
        "causes": [["reason": "ResourceVersionTooLarge", "message": "Too large resource version"]],
        "retryAfterSeconds": 1,
      ])
  }

  /// Checks a list's options against each other and the state.
  func checkListOptions(_ options: APIOptions) throws(APIFailure) {
    let text = options.resourceVersion ?? ""
    let match = options.resourceVersionMatch ?? ""
    let continues = !(options.continueToken ?? "").isEmpty
    var errors = FieldErrors()
    if !match.isEmpty {
      if text.isEmpty {
        errors.forbidden(
          "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided")
      }
      if continues { Self.forbidWithContinue(&errors) }
      if !["Exact", "NotOlderThan"].contains(match) {
        errors.unsupported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""])
      }
      if match == "Exact", text == "0" {
        errors.forbidden(
          "resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
      }
    }
    if options.sendInitialEvents != nil {
      errors.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")
    }
    try Self.refuse(errors)
    if continues, !text.isEmpty, text != "0" {
      throw .badRequest("specifying resource version is not allowed when using continue")
    }
    if let version = try namedVersion(options), match == "Exact", version != state.resourceVersion {
      throw .expired("The resourceVersion for the provided list is too old.")
    }
  }

  /// Checks a watch's options against each other.
  func checkWatchOptions(_ options: APIOptions) throws(APIFailure) {
    let match = options.resourceVersionMatch ?? ""
    var errors = FieldErrors()
    if options.sendInitialEvents != nil, match != "NotOlderThan" {
      errors.forbidden(
        "resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    }
    if !match.isEmpty {
      if options.sendInitialEvents == nil {
        errors.forbidden(
          "resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
      }
      if match != "NotOlderThan" { errors.unsupported("resourceVersionMatch", match, ["NotOlderThan"]) }
      if !(options.continueToken ?? "").isEmpty { Self.forbidWithContinue(&errors) }
    }
    try Self.refuse(errors)
  }

  private static func forbidWithContinue(_ errors: inout FieldErrors) {
    errors.forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
  }

  private static func refuse(_ errors: FieldErrors) throws(APIFailure) {
    if !errors.isEmpty { throw .invalid(options: "ListOptions", errors) }
  }
}
