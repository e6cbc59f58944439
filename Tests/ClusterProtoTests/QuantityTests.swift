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
      ("1E0", 1000), ("-0.0001", -1), ("1.00000000000000000000000000000000000000001", 1001), ("1e-2147483648", 1),
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
      ("1e50", .max), ("100E", .max), ("0e90", 0), ("9223372036854775807", .max), ("9223372036854775808", .max),
      ("18446744073709551615", .max), ("99999999999999999999", .max), ("-99999999999999999999", -.max),
      ("9223372036854775806.5", .max), ("1e100", .max),
      ("10000000000000000000000e-20", 100), ("0.00000000000000000000000000000000000000001Ei", 1),
      ("0.5000000000000000000000000000000000000000000Gi", 536_870_912), ("1e2147483647", .max),
    ] as [(String, Int64)])
  func bytes(text: String, value: Int64) {
    #expect(Quantity.parseBytes(text) == value)
  }

  @Test(
    "what is no quantity is refused",
    arguments: [
      "", "m", "1.2.3", "1 Gi", "1GB", "Gi", "--1", "1ki", "1K", "1mi", "e3", "0x10", "1e", "1e3k", "٣", ".",
      "1e-9223372036854775808",
      "1e9223372036854775807", "9e9999Ei", "1e2147483648",
    ])
  func refusals(text: String) {
    #expect(Quantity.parseMillis(text) == nil)
    #expect(Quantity.parseBytes(text) == nil)
  }

  @Test("what is beyond thousandths of 64 bits is exact still, and sums of the largest amounts end nothing")
  func large() {
    #expect(Quantity.thousandths("10Pi") == 11_258_999_068_426_240_000)
    let most = Int128(Int64.max) * 1000
    let long = "1\(String(repeating: "0", count: 300)).5"
    for text in ["8Ei", "1e19", long, "9223372036854775807.9", "99999999999999999999"] {
      #expect(Quantity.thousandths(text) == most)
    }
    var sum = QuantityValue.zero
    for _ in 0..<1000 { sum += QuantityValue(.string("1e50")) ?? .zero }
    #expect(sum.millis == most * 1000 && QuantityValue(.string("8Ei"))?.description == "9223372036854775807")
  }

  @Test("what is less than the smallest part that is counted is told apart from that part")
  func fractions() {
    for text in ["1u", "999u", "1n", "0.0009", "1e-9"] { #expect(Quantity.isLessThanOne(text, ofThousandths: true)) }
    for text in ["1m", "1000u", "0", "0u", "1500u", "-1u", "x"] {
      #expect(!Quantity.isLessThanOne(text, ofThousandths: true), "\(text)")
    }
    for text in ["1m", "0.5", "1u"] { #expect(Quantity.isLessThanOne(text, ofThousandths: false)) }
    for text in ["1", "1500m", "0"] { #expect(!Quantity.isLessThanOne(text, ofThousandths: false)) }
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
