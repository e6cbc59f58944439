// Numbers in seccomp profiles of the node's: arguments of system calls have 64 bits, all of which are compared.

import ClusterIO
import Testing

@testable import NodeAgent

@Suite("Numbers of a seccomp profile")
struct SeccompNumberTests {
  /// The constants of the filter that compares the second argument of `kill` with `value`.
  private static func constants(_ value: String) throws -> Set<UInt32> {
    let scratch = try Scratch()
    let argument = #"{"index": 1, "value": \#(value), "op": "SCMP_CMP_EQ"}"#
    let rule = #"{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [\#(argument)]}"#
    let path = "\(scratch.path)/own.json"
    try Files.writeAtomically(path, Array(#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [\#(rule)]}"#.utf8))
    let filter = try SeccompProfiles.filter(path)
    return Set(
      stride(from: 0, to: filter.count, by: 8).map { start in
        (4..<8).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32(filter[start + $1]) }
      })
  }

  @Test(
    "from 2^63 on they are compared as they were written, not as their nearest doubles",
    arguments: [
      ("9223372036854775809", 0x8000_0000, 1), ("18446744073709551615", 0xFFFF_FFFF, 0xFFFF_FFFF),
      ("18446744069414584321", 0xFFFF_FFFF, 1), (#""18446744069414584322""#, 0xFFFF_FFFF, 2), ("4294967299", 1, 3),
    ] as [(String, UInt32, UInt32)])
  func exact(value: String, high: UInt32, low: UInt32) throws {
    #expect(try Self.constants(value).isSuperset(of: [high, low]))
  }

  @Test(
    "what has no 64 bits, or is not whole, is refused by name",
    arguments: ["18446744073709551616", "-1", "1.5", "9223372036854775809.0", "1e30", #""many""#])
  func refused(value: String) {
    let error = #expect(throws: IOError.self) { _ = try Self.constants(value) }
    #expect(error?.message.contains("a number that is not whole or not from 0 to 2^64-1") == true, "\(value)")
  }
}
