// Owns: libyaml's parser, one event at a time, and the wording of its errors. It must not know what documents mean.

import CYAML
import ClusterProto

/// Why YAML text is no manifest; worded as kubectl words it.
package struct YAMLError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Without the prefix: `line 3: mapping values are not allowed in this context`.
  package var message: String

  /// An error with this text.
  package init(message: String) { self.message = message }

  /// `error converting YAML to JSON: yaml: line 3: …`.
  package var description: String { "error converting YAML to JSON: yaml: \(message)" }
}

/// One event of a YAML stream; `line` counts from 1.
enum YAMLEvent {
  case streamEnd
  case documentStart
  case documentEnd
  case alias(name: String, line: Int)
  case scalar(text: String, anchor: String?, tag: String?, isPlain: Bool, line: Int)
  case sequenceStart(anchor: String?, line: Int)
  case sequenceEnd
  case mappingStart(anchor: String?, line: Int)
  case mappingEnd

  /// Where it stands; 0 where nobody asks.
  var line: Int {
    switch self {
    case .alias(_, let line), .scalar(_, _, _, _, let line), .sequenceStart(_, let line), .mappingStart(_, let line):
      line
    default: 0
    }
  }
}

/// libyaml over one buffer, which must outlive it.
struct YAMLEventReader: ~Copyable {
  private let parser: UnsafeMutablePointer<yaml_parser_t>

  init(_ bytes: UnsafeBufferPointer<UInt8>) throws(YAMLError) {
    parser = .allocate(capacity: 1)
    guard yaml_parser_initialize(parser) == 1 else {
      parser.deallocate()
      throw YAMLError(message: "out of memory")
    }
    yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
  }

  /// The next event that carries meaning.
  mutating func next() throws(YAMLError) -> YAMLEvent {
    while true {
      var event = yaml_event_t()
      guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
      defer { yaml_event_delete(&event) }
      let line = Int(event.start_mark.line) + 1
      switch event.type {
      case YAML_STREAM_END_EVENT: return .streamEnd
      case YAML_DOCUMENT_START_EVENT: return .documentStart
      case YAML_DOCUMENT_END_EVENT: return .documentEnd
      case YAML_ALIAS_EVENT: return .alias(name: Self.text(event.data.alias.anchor) ?? "", line: line)
      case YAML_SCALAR_EVENT:
        let scalar = event.data.scalar
        let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
        return .scalar(
          text: String(decoding: bytes, as: UTF8.self), anchor: Self.text(scalar.anchor), tag: Self.text(scalar.tag),
          isPlain: scalar.plain_implicit == 1, line: line)
      case YAML_SEQUENCE_START_EVENT:
        return .sequenceStart(anchor: Self.text(event.data.sequence_start.anchor), line: line)
      case YAML_SEQUENCE_END_EVENT: return .sequenceEnd
      case YAML_MAPPING_START_EVENT:
        return .mappingStart(anchor: Self.text(event.data.mapping_start.anchor), line: line)
      case YAML_MAPPING_END_EVENT: return .mappingEnd
      default: continue
      }
    }
  }

  private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    pointer.map { String(cString: $0) }
  }

  /// The line as kubectl's library counts it: the scanner's marks are one behind, a mark in the first line names
  /// none.
  private func failure() -> YAMLError {
    var line = 0
    if parser.pointee.problem_mark.line != 0 {
      line = Int(parser.pointee.problem_mark.line)
      if parser.pointee.error == YAML_SCANNER_ERROR { line += 1 }
    } else if parser.pointee.context_mark.line != 0 {
      line = Int(parser.pointee.context_mark.line)
    }
    let problem = parser.pointee.problem.map { String(cString: $0) } ?? "unknown problem parsing YAML content"
    return YAMLError(message: line == 0 ? problem : "line \(line): \(problem)")
  }
}
