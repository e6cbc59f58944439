// A protobuf writer of a few lines, and bodies that real kubectl sent: what the protobuf suites feed the decoder.

import ClusterProto

enum ProtobufWriter {
  static func varint(_ value: UInt64) -> [UInt8] {
    var rest = value
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  static func bytes(_ number: UInt64, _ content: [UInt8]) -> [UInt8] {
    varint(number << 3 | 2) + varint(UInt64(content.count)) + content
  }

  static func text(_ number: UInt64, _ text: String) -> [UInt8] { bytes(number, Array(text.utf8)) }

  static func int(_ number: UInt64, _ value: Int64) -> [UInt8] {
    varint(number << 3) + varint(UInt64(bitPattern: value))
  }

  static func message(_ number: UInt64, _ fields: [UInt8]...) -> [UInt8] { bytes(number, fields.flatMap { $0 }) }

  static func entry(_ number: UInt64, _ key: String, _ value: [UInt8]) -> [UInt8] {
    message(number, text(1, key), value)
  }

  /// The envelope as kubectl writes it.
  static func body(_ apiVersion: String, _ kind: String, _ fields: [UInt8]...) -> [UInt8] {
    [0x6B, 0x38, 0x73, 0x00] + message(1, text(1, apiVersion), text(2, kind)) + bytes(2, fields.flatMap { $0 })
      + text(3, "") + text(4, "")
  }

  static func hex(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = text[...]
    while rest.count >= 2, let byte = UInt8(rest.prefix(2), radix: 16) {
      bytes.append(byte)
      rest = rest.dropFirst(2)
    }
    return bytes
  }

  // What kubectl 1.32, 1.33 and 1.37 send, byte for byte the same.

  /// `kubectl create job hello --image=busybox -- date`.
  static let job = hex(
    "6b3873000a0f0a0862617463682f763112034a6f621286010a150a0568656c6c6f12001a0022002a0032003800420012633261"
      + "0a100a0012001a0022002a00320038004200124d122a0a0568656c6c6f120762757379626f781a04646174652a0042006a00"
      + "7200800100880100900100a201001a054e65766572320042004a0052005800600068008201008a01009a0100c201001a0820"
      + "00280030003a001a002200")
  /// `kubectl create namespace tidy`.
  static let namespace = hex(
    "6b3873000a0f0a02763112094e616d657370616365121c0a140a047469647912001a0022002a0032003800420012001a020a001a002200")
  /// `kubectl create configmap m --from-literal=a=b`.
  static let configMap = hex(
    "6b3873000a0f0a0276311209436f6e6669674d6170121b0a110a016d12001a0022002a0032003800420012060a01611201621a002200")
  /// `kubectl create secret generic s --from-literal=a=b`.
  static let secret = hex(
    "6b3873000a0c0a0276311206536563726574121d0a110a017312001a0022002a0032003800420012060a01611201621a001a002200")
  /// `kubectl auth can-i create jobs`.
  static let accessReview = hex(
    "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a65637441636365737352"
      + "6576696577123f0a100a0012001a0022002a0032003800420012210a1f0a0764656661756c7412066372656174651a002200"
      + "2a046a6f627332003a001a08080012001a0020001a002200")
  /// `kubectl auth whoami`.
  static let selfReview = hex(
    "6b3873000a2d0a1861757468656e7469636174696f6e2e6b38732e696f2f7631121153656c665375626a656374526576696577"
      + "121a0a100a0012001a0022002a0032003800420012060a040a0012001a002200")
  /// `kubectl create cronjob c --image=busybox --schedule=… -- date`.
  static let cronJob = hex(
    "6b3873000a130a0862617463682f7631120743726f6e4a6f6212a1010a110a016312001a0022002a0032003800420012890"
      + "10a0b2a2f35202a202a202a202a1a002a780a110a016312001a0022002a00320038004200126332610a100a0012001a0022"
      + "002a00320038004200124d12260a0163120762757379626f781a04646174652a0042006a007200800100880100900100a201"
      + "001a094f6e4661696c757265320042004a0052005800600068008201008a01009a0100c201001a001a002200")
}
