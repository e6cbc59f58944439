// A file that remembers the highest token: what is in it, what it refuses, and whom its lock keeps out.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite("A file remembers the highest token")
struct TokenFileTests {
  private func inDirectory(_ body: (String) throws -> Void) throws {
    let path = "/tmp/stint-token-\(Hexadecimal.text(try Crypto.randomBytes(6)))"
    try Files.makeDirectory(path)
    defer { try? Files.removeTree(path) }
    try body(path)
  }

  private func problem(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  @Test("it is made, holds none at first, and then the last one written")
  func numbers() throws {
    try inDirectory { directory in
      let path = "\(directory)/token"
      let file = try TokenFile(path: path)
      #expect(try file.read() == nil)
      for token in [1, 9, 10, 1 << 52, Int64.max] {
        try file.write(token)
        #expect(try file.read() == token && TokenFile(path: path).read() == token)
      }
      #expect(String(decoding: try Files.read(path), as: UTF8.self) == "9223372036854775807\n")
    }
  }

  @Test(
    "whatever else is in it is not written over",
    arguments: [
      "17", "17 \n", "-1\n", "x\n", "\n", "1\n2\n", "99999999999999999999\n", "17\r\n",
      "a long text, longer than a token\n",
    ])
  func foreign(text: String) throws {
    try inDirectory { directory in
      let path = "\(directory)/notes"
      try Files.writeAtomically(path, Array(text.utf8))
      let file = try TokenFile(path: path)
      #expect(problem { _ = try file.read() }.contains("it holds something else than a fencing token"))
    }
  }

  @Test("a pipe, a directory, a device and a path that leads nowhere are refused at once")
  func kinds() throws {
    try inDirectory { directory in
      let pipe = "\(directory)/pipe"
      #expect(mkfifo(pipe, 0o600) == 0)
      #expect(problem { _ = try TokenFile(path: pipe) }.contains("it is no plain file"))
      #expect(problem { _ = try TokenFile(path: "/dev/null") }.contains("it is no plain file"))
      #expect(problem { _ = try TokenFile(path: directory) }.contains("Is a directory"))
      #expect(problem { _ = try TokenFile(path: "\(directory)/none/token") }.contains("No such file or directory"))
    }
  }

  @Test("its lock keeps out whoever else opens it, in this process too, until the file is closed")
  func locks() throws {
    try inDirectory { directory in
      let path = "\(directory)/token"
      var first: TokenFile? = try TokenFile(path: path)
      let second = try TokenFile(path: path)
      #expect(try first?.tryLock() == true)
      #expect(try !second.tryLock())
      first = nil
      #expect(try second.tryLock())
      try second.lock()
    }
  }
}
