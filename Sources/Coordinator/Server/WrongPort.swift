// Owns: what a client of the Kubernetes API hears at the native port: in its own protocol, and which port it wants. It
// must not know connections.

import ClusterProto

enum WrongPort {
  private static let methods = ["GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS "]

  static let error = ProtocolError(
    .malformed,
    "this is the port of stint and its agents, and HTTP was spoken: the Kubernetes API has a port of its own (7480, or "
      + "what --api says; `stint kubeconfig` names it)")

  /// No hello begins so: as a length it is over every limit.
  static func isHTTP(_ first: [UInt8]) -> Bool { methods.contains { first.starts(with: $0.utf8) } }

  /// kubectl prints a Status' message.
  static let answer: [UInt8] = {
    let status: JSON = [
      "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(error.message),
      "reason": "BadRequest", "code": 400,
    ]
    let body = status.text
    let head =
      "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
      + "Connection: close\r\n\r\n"
    return Array((head + body).utf8)
  }()
}
