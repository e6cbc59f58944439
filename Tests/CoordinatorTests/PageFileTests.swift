// The page's files as the program has them: which, how large, and that nothing foreign is in them.

import ClusterIO
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
