// Resource quantities: what they are worth, rounded up, and how they are written.

import ClusterProto
import Testing

@Suite("Quantities")
struct QuantityTests {
  @Test(
    "CPU is read in thousandths, rounded up",
    arguments: [
      ("500m", 500), ("1.5", 1500), ("1", 1000), ("0", 0), ("0.0001", 1), ("1e3", 1_000_000), ("1k", 1_000_000),
      ("100u", 1), ("1n", 1), ("-1", -1000), ("+2", 2000), (".5", 500), ("2.", 2000), ("1.000000000", 1000),
      ("1E0", 1000),
    ] as [(String, Int64)])
  func millis(text: String, value: Int64) {
    #expect(Quantity.parseMillis(text) == value)
  }

  @Test(
    "memory is read in bytes, rounded up, and saturates",
    arguments: [
      ("2Gi", 2_147_483_648), ("100M", 100_000_000), ("1e3", 1000), ("1E3", 1000), ("1E", 1_000_000_000_000_000_000),
      ("0.5Ki", 512), ("1.5", 2), ("128974848", 128_974_848), ("129e6", 129_000_000), ("123Mi", 128_974_848),
      ("128974848000m", 128_974_848), ("1e-3", 1), ("-2Ki", -2048), ("7Ei", 8_070_450_532_247_928_832), ("8Ei", .max),
      ("1e50", .max), ("100E", .max), ("0e90", 0),
    ] as [(String, Int64)])
  func bytes(text: String, value: Int64) {
    #expect(Quantity.parseBytes(text) == value)
  }

  @Test(
    "what is no quantity is refused",
    arguments: [
      "", "m", "1.2.3", "1 Gi", "1GB", "Gi", "--1", "1ki", "1K", "1mi", "e3", "0x10", "1e", "1e3k", "٣", ".",
      "1e-9223372036854775808",
      "1e9223372036854775807", "9e9999Ei", "1e100",
    ])
  func refusals(text: String) {
    #expect(Quantity.parseMillis(text) == nil)
    #expect(Quantity.parseBytes(text) == nil)
  }

  @Test("amounts are written in the largest unit that divides them and read back the same")
  func formatting() {
    let bytes: [(Int64, String)] = [
      (8 << 30, "8Gi"), (512 << 20, "512Mi"), (1500, "1500"), (0, "0"), (1024, "1Ki"), (-2048, "-2Ki"), (1025, "1025"),
    ]
    for (value, text) in bytes {
      #expect(Quantity.formatBytes(value) == text)
      #expect(Quantity.parseBytes(text) == value)
    }
    for (value, text) in [(4000, "4"), (500, "500m"), (0, "0"), (1500, "1500m"), (-250, "-250m")] as [(Int64, String)] {
      #expect(Quantity.formatMillis(value) == text)
      #expect(Quantity.parseMillis(text) == value)
    }
  }

  @Test("random text never traps")
  func noise() {
    var random = SplitMix64(seed: 3)
    let alphabet = Array("0123456789.eE+-mkKMGTPiun".utf8)
    var read = 0
    for _ in 0..<20_000 {
      let bytes = (0..<random.below(14)).map { _ in alphabet[Int(random.below(UInt64(alphabet.count)))] }
      let text = String(decoding: bytes, as: UTF8.self)
      if Quantity.parseMillis(text) != nil { read += 1 }
      #expect((Quantity.parseMillis(text) == nil) == (Quantity.parseBytes(text) == nil), "\(text)")
    }
    #expect(read > 100)
  }
}
