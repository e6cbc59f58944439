// Kubernetes' `$(NAME)` expansion in command, args and env values. Text in, text out, and never more of it than the
// caller wants: each variable may name others twice, so that forty short lines would make terabytes.

/// What `VariableExpansion` was to give is longer than the caller wants.
package struct ExpansionOverflow: Error {}

/// The `$(NAME)` syntax.
package enum VariableExpansion {
  /// Replaces `$(NAME)` by what `value` gives; unknown names stay as they are; `$$` becomes `$`, so that `$$(NAME)`
  /// gives `$(NAME)`. Fails as soon as there are more than `limit` bytes.
  package static func expand(
    _ text: String, limit: Int, with value: (String) -> String?
  ) throws(ExpansionOverflow) -> String {
    let bytes = Array(text.utf8)
    guard bytes.contains(36) else {
      if bytes.count > limit { throw ExpansionOverflow() }
      return text
    }
    // Behind the last one no name ends: looking for its end at each `$(` would take the square of the length.
    let lastEnd = bytes.lastIndex(of: 41) ?? -1
    var output: [UInt8] = []
    var position = 0
    while position < bytes.count {
      let next = position + 1
      if bytes[position] != 36 || next == bytes.count {
        output.append(bytes[position])
        position += 1
      } else if bytes[next] == 36 {
        output.append(36)
        position += 2
      } else if bytes[next] == 40, position < lastEnd, let end = bytes[position...].firstIndex(of: 41) {
        let name = String(decoding: bytes[(position + 2)..<end], as: UTF8.self)
        if let found = value(name) {
          output.append(contentsOf: found.utf8)
        } else {
          output.append(contentsOf: bytes[position...end])
        }
        position = end + 1
      } else {
        output.append(36)
        position += 1
      }
      if output.count > limit { throw ExpansionOverflow() }
    }
    return String(decoding: output, as: UTF8.self)
  }
}
