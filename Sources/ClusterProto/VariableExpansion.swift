// Kubernetes' `$(NAME)` expansion in command, args and env values. Text in, text out.

/// The `$(NAME)` syntax.
package enum VariableExpansion {
  /// Replaces `$(NAME)` by what `value` gives; unknown names stay as they are; `$$` becomes `$`, so that `$$(NAME)`
  /// gives `$(NAME)`.
  package static func expand(_ text: String, with value: (String) -> String?) -> String {
    let bytes = Array(text.utf8)
    guard bytes.contains(36) else { return text }
    var output: [UInt8] = []
    var position = 0
    while position < bytes.count {
      guard bytes[position] == 36, position + 1 < bytes.count else {
        output.append(bytes[position])
        position += 1
        continue
      }
      if bytes[position + 1] == 36 {
        output.append(36)
        position += 2
      } else if bytes[position + 1] == 40, let end = bytes[position...].firstIndex(of: 41) {
        let name = String(decoding: bytes[(position + 2)..<end], as: UTF8.self)
        output.append(contentsOf: value(name).map { Array($0.utf8) } ?? Array(bytes[position...end]))
        position = end + 1
      } else {
        output.append(36)
        position += 1
      }
    }
    return String(decoding: output, as: UTF8.self)
  }
}
