// Owns: one container's log on its way to the reader: whole lines, prefixes, and going on after a lost connection
// without a line twice. It must not know where logs come from.

import ClusterProto

/// Turns pieces of a log into what is printed. The log comes with a time before each line where it must be resumed.
struct LogText {
  /// Before each line: `[pod/NAME/CONTAINER] `.
  let prefix: String
  /// Lines come with their time before them.
  let hasTimes: Bool
  /// The reader wants the times.
  let showsTimes: Bool
  /// The time of the last whole line, as it was written: where to go on.
  private(set) var lastTime: String?
  /// Lines printed with that very time.
  private var countAtLastTime = 0
  /// After a lost connection: lines still to be passed over, up to `lastTime` and the count there.
  private var skipsUntil: String?
  private var skipsLeft = 0
  private var rest: [UInt8] = []
  /// So much of `rest` holds no end of a line.
  private var searched = 0

  init(prefix: String, hasTimes: Bool, showsTimes: Bool) {
    self.prefix = prefix
    self.hasTimes = hasTimes
    self.showsTimes = showsTimes
  }

  /// What to print of the next piece. A line is held back until it is whole, unless nothing is added to it.
  mutating func take(_ bytes: [UInt8]) -> [UInt8] {
    if prefix.isEmpty, !hasTimes { return bytes }
    rest += bytes
    var output: [UInt8] = []
    var start = 0
    while let end = rest[max(start, searched)...].firstIndex(of: 0x0A) {
      add(rest[start...end], &output)
      start = end + 1
    }
    rest.removeFirst(start)
    searched = rest.count
    return output
  }

  /// What was held back when the log is over.
  mutating func finish() -> [UInt8] {
    var output: [UInt8] = []
    if !rest.isEmpty { add(rest[...], &output) }
    rest = []
    searched = 0
    return output
  }

  /// The connection broke: the log comes again from the second of `lastTime` on.
  mutating func resume() {
    rest = []
    searched = 0
    skipsUntil = lastTime
    skipsLeft = countAtLastTime
  }

  private mutating func add(_ line: ArraySlice<UInt8>, _ output: inout [UInt8]) {
    var shown = line
    if hasTimes, let space = line.firstIndex(of: 0x20) {
      let time = String(decoding: line[..<space], as: UTF8.self)
      if let limit = skipsUntil {
        // Times of one form compare as texts.
        if time < limit { return }
        if time == limit, skipsLeft > 0 {
          skipsLeft -= 1
          return
        }
        skipsUntil = nil
      }
      countAtLastTime = time == lastTime ? countAtLastTime + 1 : 1
      lastTime = time
      if !showsTimes { shown = line[(space + 1)...] }
    }
    output += Array(prefix.utf8) + shown
  }
}
