// Frames: what is sent comes out again, in whatever pieces it arrives.

import ClusterProto
import Testing

@Suite("Frames")
struct FrameTests {
  @Test("frames come out whole whatever pieces their bytes arrive in", arguments: 1...20 as ClosedRange<UInt64>)
  func pieces(seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    let payloads = (0..<40).map { index in
      (0..<(1 + random.below(index % 7 == 0 ? 90_000 : 300))).map { UInt8(truncatingIfNeeded: $0 &+ UInt64(index)) }
    }
    let stream = try payloads.flatMap { try Frame.encode($0) }
    var decoder = FrameDecoder()
    var received: [[UInt8]] = []
    var position = 0
    while position < stream.count {
      let end = min(stream.count, position + 1 + Int(random.below(70_000)))
      decoder.append(Array(stream[position..<end]))
      position = end
      while let payload = try decoder.next() { received.append(payload) }
    }
    #expect(received == payloads)
    #expect(try decoder.next() == nil)
  }

  @Test("a tree is framed with its length in front, big end first")
  func layout() throws {
    #expect(try Frame.encode(JSON.object(["a": 1])) == [0, 0, 0, 7] + Array(#"{"a":1}"#.utf8))
    #expect(try Frame.encode([UInt8](repeating: 32, count: 258)).prefix(4) == [0, 0, 1, 2])
  }

  @Test("an empty and an over-long frame are errors on both ends, the latter naming both numbers")
  func bounds() throws {
    #expect(throws: FrameError.self) { try Frame.encode([UInt8]()) }
    let over = [UInt8](repeating: 32, count: Frame.maximumLength + 1)
    let error = #expect(throws: FrameError.self) { try Frame.encode(over) }
    #expect(error?.message.contains("1048577") == true)
    #expect(error?.message.contains("1048576") == true)
    #expect(try Frame.encode(Array(over.dropLast())).count == Frame.maximumLength + 4)
    var empty = FrameDecoder()
    empty.append([0, 0, 0, 0])
    #expect(throws: FrameError.self) { try empty.next() }
    var long = FrameDecoder(maximumLength: 10)
    long.append([0, 0, 0, 11])
    let refusal = #expect(throws: FrameError.self) { try long.next() }
    #expect(refusal?.message.contains("11") == true)
    #expect(refusal?.message.contains("10") == true)
  }
}
