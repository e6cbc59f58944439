// The page: its files as the program has them, and how the coordinator serves them.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator

@Suite("The page's files")
struct PageFileTests {
  private static let folder =
    #filePath.split(separator: "/").dropLast(3).reduce("") { "\($0)/\($1)" } + "/Sources/CPage/files"

  @Test("the program has each file of the folder, byte for byte, and no other")
  func embedded() throws {
    #expect(PageFiles.all.map(\.name) == (try Files.list(Self.folder)).sorted())
    for file in PageFiles.all {
      #expect(try Files.read("\(Self.folder)/\(file.name)", limit: 1 << 20) == file.bytes, "\(file.name) is stale")
      #expect(try Gunzip.expand(file.gzip, limit: 1 << 20) == file.bytes)
    }
  }

  @Test("all files together are sent in 60 KiB, each goes out whole, and each opens by saying what it owns")
  func budget() {
    let sum = PageFiles.all.reduce(0) { $0 + $1.bytes.count }
    let sent = PageFiles.all.reduce(0) { $0 + $1.gzip.count }
    // What a browser loads of the coordinator and of `stint ui`; `kubectl proxy` sends the files as they are.
    #expect(sent <= 60 * 1024, "\(sent) bytes in gzip")
    #expect(sum <= 144 * 1024, "\(sum) bytes")
    for file in PageFiles.all {
      #expect(file.bytes.count < HTTPOutput.outputMark)
      let text = String(decoding: file.bytes, as: UTF8.self)
      if file.name.hasSuffix(".js") { #expect(text.hasPrefix("// Owns: "), "\(file.name)") }
      #expect(text.split(separator: "\n").count <= 300, "\(file.name)")
    }
  }

  @Test("nothing is inline, nothing comes from elsewhere, no text can become markup, and styles name no address")
  func closed() {
    for file in PageFiles.all {
      let text = String(decoding: file.bytes, as: UTF8.self)
      for word in ["http://", "https://", "//cdn", "@import", "url(", "eval(", "new Function", "document.write"] {
        #expect(!text.contains(word), "\(file.name): \(word)")
      }
      for word in ["innerHTML", "outerHTML", "insertAdjacent", "srcdoc", "javascript:", "createContextualFragment"] {
        #expect(!text.contains(word), "\(file.name): \(word)")
      }
      guard file.name == "index.html" else { continue }
      #expect(!text.contains("<style") && !text.contains(" style=") && !text.contains(" onclick="))
      for script in text.split(separator: "<script").dropFirst() {
        #expect(script.contains("src=\"") && script.contains("></script>"))
      }
      // `kubectl proxy` sends no header of ours: the file says the same by itself.
      let policy = PageFiles.guards[0].1.replacing("frame-ancestors 'none'; ", with: "")
      #expect(text.contains("content=\"\(policy)\""))
    }
  }
}

@Suite("The page from the coordinator")
struct PageDoorTests {
  @Test("who has no credential gets the page, with its guards, but nothing of the cluster")
  func served() throws {
    try LiveAPI.with { api in
      let client = try api.connect(api.stranger)
      func ask(_ method: String, _ path: String, headers: [String] = []) throws -> HTTPTestAnswer? {
        client.connection.send(HTTPTestClient.request(method, path, headers: headers))
        var answer: HTTPTestAnswer?
        try api.live.wait("an answer comes to \(path)") {
          answer = client.takeAnswer()
          return answer != nil
        }
        return answer
      }
      let index = try ask("GET", "/ui/")
      #expect(index?.code == 200)
      #expect(index?.header("content-type") == "text/html; charset=utf-8")
      for (name, value) in PageFiles.guards { #expect(index?.header(name.lowercased()) == value) }
      #expect(index?.header("set-cookie") == nil)
      #expect(index?.body == PageFiles.all.first { $0.name == "index.html" }?.bytes)
      let script = try ask("GET", "/ui/main.js", headers: ["Accept-Encoding: gzip"])
      #expect(script?.header("content-type") == "text/javascript; charset=utf-8")
      #expect(script?.header("content-encoding") == "gzip")
      #expect(
        try Gunzip.expand(script?.body ?? [], limit: 1 << 20) == PageFiles.all.first { $0.name == "main.js" }?.bytes)
      #expect(try ask("GET", "/ui")?.header("location") == "/ui/")
      for path in ["/ui/none.js", "/ui/../api", "/ui/%2e%2e/api", "/ui//main.js"] {
        #expect(try ask("GET", path)?.code == 404, "\(path)")
      }
      #expect(try ask("POST", "/ui/session")?.code == 405)
      #expect(try ask("GET", "/uix")?.code == 401)
      #expect(try ask("GET", "/apis/batch/v1/jobs")?.code == 401)
    }
  }

  @Test("a file that a browser has is not sent again, under another Host nothing is")
  func tagged() throws {
    try LiveAPI.with { api in
      let tag = try #require(try api.ask("GET", "/ui/page.css").header("etag"))
      api.dropClient()
      let client = try api.connect()
      client.connection.send(HTTPTestClient.request("GET", "/ui/page.css", headers: ["If-None-Match: W/\(tag)"]))
      try api.live.wait("the answer has come") { client.text.hasSuffix("\r\n\r\n") }
      #expect(client.text.hasPrefix("HTTP/1.1 304 Not Modified\r\n"))
      #expect(!client.text.lowercased().contains("transfer-encoding"))
      #expect(try api.ask("GET", "/ui/", host: "evil.example").code == 403)
    }
  }
}
