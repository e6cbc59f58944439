// Owns: the bytes of answers: phrases, chunks, watch events, and the Status objects that the HTTP side
// gives by itself. It must not know who asked.

import ClusterIO
import ClusterProto

enum HTTPAnswer {
  static let logType = "text/plain"
  static let jsonType = "application/json"
  static let yamlType = "application/yaml"
  /// The last chunk of a body.
  static let lastChunk = Array("0\r\n\r\n".utf8)

  /// To who speaks HTTP where TLS is spoken, as Go's server has it.
  static let plainText = Array(
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n".utf8)

  static func chunk(_ bytes: [UInt8]) -> [UInt8] {
    if bytes.isEmpty { return [] }
    var chunk: [UInt8] = []
    chunk.reserveCapacity(bytes.count + 20)
    chunk.append(contentsOf: String(bytes.count, radix: 16).utf8)
    chunk.append(0x0D)
    chunk.append(0x0A)
    chunk.append(contentsOf: bytes)
    chunk.append(0x0D)
    chunk.append(0x0A)
    return chunk
  }

  static func event(_ type: String, _ object: JSON) -> [UInt8] {
    var bytes = Array("{\"type\":\"\(type)\",\"object\":".utf8)
    object.write(into: &bytes)
    bytes += [0x7D, 0x0A]
    return bytes
  }

  /// An element of a list of objects: its list says kind and version for all.
  static func bare(_ item: JSON) -> JSON {
    guard case .object(var members) = item else { return item }
    members.removeValue(forKey: "kind")
    members.removeValue(forKey: "apiVersion")
    return .object(members)
  }

  /// List elements behind `opening`, in JSON with commas between them, in pieces of some size.
  static func elements(_ items: [JSON], after opening: [UInt8], isYAML: Bool = false) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var piece = opening
    for (index, item) in items.enumerated() {
      if isYAML {
        YAMLText.write(items: [item], into: &piece)
      } else {
        if index > 0 { piece.append(0x2C) }
        item.write(into: &piece)
      }
      if piece.count >= pieceSize {
        pieces.append(piece)
        piece = []
        piece.reserveCapacity(pieceSize + pieceSize / 4)
      }
    }
    if !piece.isEmpty, !items.isEmpty || opening.count > 1 { pieces.append(piece) }
    return pieces
  }

  /// What follows the elements of a list: its other members.
  static func end(ofList frame: JSON, isYAML: Bool) -> [UInt8] {
    if isYAML { return frame.yamlBytes }
    var rest = frame.bytes
    // An object without members would leave a comma.
    rest[0] = rest.count > 2 ? 0x2C : 0x20
    return [0x5D] + rest + [0x0A]
  }

  private static let pieceSize = 24 * 1024

  /// Whether Accept-Encoding takes gzip: named, and not with a weight of 0.
  static func acceptsGzip(_ header: String?) -> Bool {
    guard let header else { return false }
    return header.split(separator: ",").contains { coding in
      let type = MediaType(coding)
      let weight = type.parameter("q")
      return type.name == "gzip" && (weight.isEmpty || weight.contains { ("1"..."9").contains($0) })
    }
  }

  /// Whether an answer is a list's frame, which waits for its elements.
  static func isFrame(_ object: JSON) -> Bool {
    guard let kind = object["kind"]?.stringValue else { return false }
    return kind == "Table" ? object["rows"] == nil : kind.hasSuffix("List") && object["items"] == nil
  }

  static func status(_ failure: HTTPFailure) -> JSON { status(failure.code, failure.message) }

  /// A Status of failure, with the reason that Kubernetes gives the code.
  static func status(_ code: Int, _ message: String) -> JSON {
    var status: JSON = [
      "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
      "code": .int(Int64(code)),
    ]
    if let reason = reason(code) { status["reason"] = .string(reason) }
    if code == 404 { status["details"] = [:] }
    if code == 429 { status["details"] = ["retryAfterSeconds": 1] }
    return status
  }

  private static func reason(_ code: Int) -> String? {
    switch code {
    case 400: "BadRequest"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "NotFound"
    case 405: "MethodNotAllowed"
    case 406: "NotAcceptable"
    case 410: "Expired"
    case 413: "RequestEntityTooLarge"
    case 415: "UnsupportedMediaType"
    case 422: "Invalid"
    case 429: "TooManyRequests"
    case 503: "ServiceUnavailable"
    case 504: "Timeout"
    default: code < 500 ? "BadRequest" : "InternalError"
    }
  }

  /// RFC 9110's quoted-string; what a header may not carry becomes a space.
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F: result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  static func phrase(_ code: Int) -> String {
    switch code {
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 304: "Not Modified"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 406: "Not Acceptable"
    case 409: "Conflict"
    case 410: "Gone"
    case 413: "Content Too Large"
    case 415: "Unsupported Media Type"
    case 417: "Expectation Failed"
    case 422: "Unprocessable Entity"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Unsupported"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    case 507: "Insufficient Storage"
    default: "Status"
    }
  }
}
