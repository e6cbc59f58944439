// Owns: the bytes of answers: heads, chunks, watch events, list elements, and the Status objects that the HTTP side
// gives by itself. It must not know who asked.

import ClusterIO
import ClusterProto

enum HTTPAnswer {
  static let logType = "text/plain"

  /// Head of an answer; without a length its body is chunked.
  static func head(_ code: Int, type: String, length: Int?, warnings: [String], close: Bool) -> [UInt8] {
    var text = "HTTP/1.1 \(code) \(phrase(code))\r\n"
    text += "Cache-Control: no-cache, private\r\n"
    if !type.isEmpty { text += "Content-Type: \(type)\r\n" }
    text += "Date: \(WallTime(nanoseconds: Clocks.now().wall).rfc1123Z.dropLast(5))GMT\r\n"
    if let length { text += "Content-Length: \(length)\r\n" } else { text += "Transfer-Encoding: chunked\r\n" }
    for warning in warnings { text += "Warning: 299 - \(quoted(warning))\r\n" }
    if close { text += "Connection: close\r\n" }
    return Array("\(text)\r\n".utf8)
  }

  static func chunk(_ bytes: [UInt8]) -> [UInt8] {
    if bytes.isEmpty { return [] }
    return Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [0x0D, 0x0A]
  }

  static func event(_ type: String, _ object: JSON) -> [UInt8] {
    var bytes = Array("{\"type\":\"\(type)\",\"object\":".utf8)
    object.write(into: &bytes)
    bytes += [0x7D, 0x0A]
    return bytes
  }

  static func elements(_ items: [JSON], isFirst: Bool) -> [UInt8] {
    var bytes: [UInt8] = []
    for (index, item) in items.enumerated() {
      if index > 0 || !isFirst { bytes.append(0x2C) }
      item.write(into: &bytes)
    }
    return bytes
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
    default: nil
    }
  }

  /// RFC 9110's quoted-string; what a header may not carry becomes a space.
  private static func quoted(_ text: String) -> String {
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

  private static func phrase(_ code: Int) -> String {
    switch code {
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
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
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    case 505: "HTTP Version Not Supported"
    case 507: "Insufficient Storage"
    default: "Status"
    }
  }
}
