// How large a tree is, told without writing it down: for bounds that must hold while a tree is still being made.
// It must not know any limit of its own, nor what is measured.

/// Bytes of the compact text without its escapes, values and nesting of a tree.
package struct JSONExtent: Equatable, Sendable {
  /// Bytes as text.
  package var bytes = 0
  /// Values of every type.
  package var values = 0
  /// Levels: 1 for a value without any below it.
  package var depth = 0
}

extension JSON {
  /// The extent of this tree, or of a part of it that has more than `limit` bytes: shared parts count as often as they
  /// occur, and a tree that would fill the machine is left after `limit` bytes.
  package func extent(upTo limit: Int) -> JSONExtent {
    var extent = JSONExtent()
    add(to: &extent, limit, 1)
    return extent
  }

  private func add(to extent: inout JSONExtent, _ limit: Int, _ depth: Int) {
    extent.values += 1
    extent.depth = max(extent.depth, depth)
    switch self {
    case .null, .bool: extent.bytes += 4
    case .int, .double: extent.bytes += 1
    case .string(let text): extent.bytes += text.utf8.count + 2
    case .array(let values):
      extent.bytes += 2
      for value in values where extent.bytes <= limit {
        extent.bytes += 1
        value.add(to: &extent, limit, depth + 1)
      }
    case .object(let members):
      extent.bytes += 2
      for (key, value) in members where extent.bytes <= limit {
        extent.bytes += key.utf8.count + 4
        value.add(to: &extent, limit, depth + 1)
      }
    }
  }
}
