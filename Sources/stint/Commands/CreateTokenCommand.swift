// Owns: `create token`: a token of a ServiceAccount, as kubectl has it. It must not know what tokens say, nor
// who may ask.

import ClusterProto

/// `stint create token NAME`.
enum CreateTokenCommand {
  /// What stands behind `create` instead of manifests.
  static let word = "token"

  static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    guard arguments.words.first == word else {
      throw arguments.problem(
        "\"\(arguments.words.first ?? "")\" is not token, job or cronjob: other objects are made by -f FILE")
    }
    guard arguments.words.count == 2, let name = arguments.words.last, !name.isEmpty else {
      throw arguments.problem("it is create token NAME: a ServiceAccount's")
    }
    for flag in ["filename", "dry-run", "image", "from", "schedule", "restart"] where arguments.has(flag) {
      throw arguments.problem("--\(flag) is not for create token")
    }
    var spec = JSON.object(JSONObject())
    if let milliseconds = arguments.milliseconds("duration"), milliseconds != 0 {
      guard milliseconds > 0 else { throw arguments.problem("expiration must be greater than or equal to 0") }
      guard milliseconds % 1_000 == 0 else {
        throw arguments.problem("expiration cannot be expressed in units less than a second")
      }
      spec["expirationSeconds"] = .int(milliseconds / 1_000)
    }
    let audiences = arguments.values("audience")
    if !audiences.isEmpty { spec["audiences"] = .array(audiences.map { .string($0) }) }
    let request = APIRequest(
      verb: .create, kind: .serviceaccounts, namespace: context.namespace, name: name, subresource: "token",
      body: ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec])
    let made: JSON
    do {
      made = try context.cluster().send(request).object
    } catch let error as StatusError {
      throw CommandError("error: failed to create token: \(TerminalText.harmless(error.message))")
    }
    guard let token = made[path: ["status", "token"]]?.stringValue, !token.isEmpty else {
      throw CommandError("error: failed to create token: no token in server response")
    }
    switch arguments.value("output") {
    case "yaml": context.console.out(ObjectText.of(made, "yaml"))
    case "json": context.console.out(ObjectText.of(made, "json"))
    case "name": context.console.line("tokenrequest.authentication.k8s.io/\(name)")
    default: context.console.line(token)
    }
    return 0
  }
}
