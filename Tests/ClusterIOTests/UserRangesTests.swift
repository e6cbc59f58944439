// Owns: tests of the ids that keepers of one machine give to pods.

import Glibc
import Testing

@testable import ClusterIO

@Suite("ids of pods with users of their own") struct UserRangesTests {
  @Test("no range is given twice, by this process or by another one, until it is given back") func apart() throws {
    let scratch = try Scratch()
    let file = "\(scratch.path)/ranges"
    let (own, other) = (UserRanges(file: file), UserRanges(file: file))
    var held = try (0..<10).map { _ in try own.take() }
    let others = try (0..<10).map { _ in try other.take() }
    #expect(Set((held + others).map(\.first)).count == 20)
    for range in held + others { #expect(range.first % UserRanges.size == 0 && range.first >= 0x7000_0000) }
    let freed = held.removeLast().first
    let again = UserRanges(file: file, start: 9)
    #expect(try again.take().first == freed)
    #expect(UserRanges(file: file, start: 10_000) !== own)
  }

  @Test("what a process held is free when it has ended, and the last of all ranges is the last") func bounds() throws {
    let scratch = try Scratch()
    let file = "\(scratch.path)/ranges"
    do {
      let gone = UserRanges(file: file)
      let held = try (0..<4094).map { _ in try gone.take() }
      #expect(held.last?.first == 0x7ffd_0000)
      #expect(throws: IOError.self) { try gone.take() }
      withExtendedLifetime(held) {}
    }
    #expect(try UserRanges(file: file).take().first == 0x7000_0000)
  }

  @Test("without the file there are none, which names it") func none() throws {
    let error = #expect(throws: IOError.self) { try UserRanges(file: "/nowhere/ranges").take() }
    #expect(error?.description.contains("/nowhere/ranges") == true)
  }
}
