// An image's record and configuration: what is read of them, and that what is written is read back.

import ClusterProto
import Testing

@testable import AgentCore

@Suite("records of images") struct ImageRecordTests {
  private var whole: ImageRecord {
    ImageRecord(
      id: "sha256:ab", tags: ["docker.io/library/busybox:1.36"], digests: ["docker.io/library/busybox@sha256:cd"],
      bytes: 4_200_000, layers: ["sha256:01", "sha256:02"],
      configuration: ImageConfiguration(
        entrypoint: ["/entry"], command: ["sh", "-c"], environment: ["PATH=/bin", "A=b=c"], workingDirectory: "/srv",
        user: "app:staff", stopSignal: "SIGQUIT"),
      passwd: "root:x:0:0::/root:/bin/sh\n", group: "root:x:0:\n")
  }

  @Test("a record is read back as it was written") func roundTrip() throws {
    #expect(try ImageRecord(json: JSON(parsing: whole.json.bytes)) == whole)
    var bare = whole
    bare.configuration = ImageConfiguration()
    #expect(try ImageRecord(json: JSON(parsing: bare.json.bytes)) == bare)
  }

  @Test("a record that lacks its id, its layers or a text is no image", arguments: ["id", "layers", "passwd", "bytes"])
  func incomplete(member: String) throws {
    var json = whole.json
    json[member] = nil
    #expect(throws: MessageError.self) { try ImageRecord(json: json) }
    json[member] = ["x": 1]
    #expect(throws: MessageError.self) { try ImageRecord(json: json) }
  }

  @Test("a configuration's null and missing members are empty, and strangers in its lists are left out")
  func configuration() {
    #expect(ImageConfiguration(oci: nil) == ImageConfiguration())
    #expect(ImageConfiguration(oci: ["Entrypoint": .null, "Env": .null, "StopSignal": ""]) == ImageConfiguration())
    let odd = ImageConfiguration(oci: ["Cmd": ["a", 1, .null, "b"], "Env": "no list", "User": 7])
    #expect(odd == ImageConfiguration(command: ["a", "b"]))
  }
}
