// The Arrow shim: see shim/arrow.h. Files are read whole, so that every failure happens here,
// behind the guard, and handing out batches can no longer fail.

extern "C" {
#include "base/file.h"
}
#include "shim/arrow.h"

#include <arrow/c/bridge.h>
#include <arrow/csv/api.h>
#include <arrow/io/api.h>
#include <arrow/ipc/api.h>
#include <arrow/table.h>
#include <arrow/util/compression.h>
#include <arrow/util/config.h>
#include <arrow/util/io_util.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

using arrow::Result;
using arrow::Status;
using table_ptr = std::shared_ptr<arrow::Table>;
using file_ptr = std::shared_ptr<arrow::io::RandomAccessFile>;

namespace
{

// A failure of Arrow as one line: its message without line breaks and parser context.
gn_status fail(const char *path, const Status &status)
{
    std::string text = status.message();
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < ' '; }, ' ');
    if (int error = arrow::internal::ErrnoFromStatus(status))
        return gn_fail_errno(error, "%s: %s", path, text.c_str());
    if (status.IsOutOfMemory())
        return gn_fail(GN_ERR_MEMORY, "%s: %s", path, text.c_str());
    return gn_fail(status.IsIOError() ? GN_ERR_IO : GN_ERR_FORMAT, "%s: %s", path, text.c_str());
}

// Runs `body` (which returns a gn_status) and turns what it throws into one.
template <class Body> gn_status guard(const char *path, Body &&body) noexcept
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return gn_fail(GN_ERR_MEMORY, "%s: out of memory", path);
    } catch (const std::exception &error) {
        return fail(path, Status::UnknownError(error.what()));
    } catch (...) {
        return gn_fail(GN_ERR_BACKEND, "%s: Arrow failed without a reason", path);
    }
}

bool ends_with(std::string_view text, std::string_view ending)
{
    return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

std::string lower_case(const char *path)
{
    std::string name = path;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return name;
}

// The separator of a text file: of comma, semicolon and tab the one most frequent in the first
// line.
char separator(std::string_view head)
{
    std::string_view line = head.substr(0, head.find('\n'));
    char best = ',';
    for (char candidate : { ';', '\t' })
        if (std::count(line.begin(), line.end(), candidate) >
            std::count(line.begin(), line.end(), best))
            best = candidate;
    return best;
}

Result<table_ptr> read_text(const char *path, arrow::Compression::type compression,
                            const char *const *text_columns, bool threads)
{
    constexpr int64_t buffer_size = 1 << 20;
    ARROW_ASSIGN_OR_RAISE(auto file, arrow::io::ReadableFile::Open(path));
    std::shared_ptr<arrow::io::InputStream> bytes = file;
    if (compression != arrow::Compression::UNCOMPRESSED) {
        ARROW_ASSIGN_OR_RAISE(auto codec, arrow::util::Codec::Create(compression));
        ARROW_ASSIGN_OR_RAISE(bytes, arrow::io::CompressedInputStream::Make(codec.get(), file));
    }
    ARROW_ASSIGN_OR_RAISE(auto input, arrow::io::BufferedInputStream::Create(
                                          buffer_size, arrow::default_memory_pool(), bytes));
    auto read = arrow::csv::ReadOptions::Defaults();
    read.use_threads = threads;
    auto parse = arrow::csv::ParseOptions::Defaults();
    ARROW_ASSIGN_OR_RAISE(auto head, input->Peek(buffer_size));
    parse.delimiter = separator(head);
    auto convert = arrow::csv::ConvertOptions::Defaults();
    for (; text_columns && *text_columns; text_columns++)
        convert.column_types[*text_columns] = arrow::utf8();
    ARROW_ASSIGN_OR_RAISE(auto reader,
                          arrow::csv::TableReader::Make(arrow::io::default_io_context(), input,
                                                        read, parse, convert));
    return reader->Read();
}

Result<table_ptr> read_parquet(const file_ptr &file)
{
    ARROW_ASSIGN_OR_RAISE(auto reader,
                          parquet::arrow::OpenFile(file, arrow::default_memory_pool()));
    reader->set_use_threads(true);
    return reader->ReadTable();
}

Result<table_ptr> read_ipc(const file_ptr &file)
{
    ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchFileReader::Open(file));
    arrow::RecordBatchVector batches;
    for (int i = 0; i < reader->num_record_batches(); i++) {
        ARROW_ASSIGN_OR_RAISE(auto batch, reader->ReadRecordBatch(i));
        ARROW_RETURN_NOT_OK(batch->Validate());
        batches.push_back(std::move(batch));
    }
    return arrow::Table::FromRecordBatches(reader->schema(), std::move(batches));
}

gn_status export_table(struct ArrowArrayStream *ret_stream, const char *path,
                       const Result<table_ptr> &table)
{
    if (!table.ok())
        return fail(path, table.status());
    Status status = arrow::ExportRecordBatchReader(
        std::make_shared<arrow::TableBatchReader>(*table), ret_stream);
    return status.ok() ? GN_OK : fail(path, status);
}

gn_status read_file(struct ArrowArrayStream *ret_stream, const char *path,
                    const char *const *text_columns)
{
    std::string name = lower_case(path);
    auto compression = arrow::Compression::UNCOMPRESSED;
    if (ends_with(name, ".gz"))
        compression = arrow::Compression::GZIP;
    else if (ends_with(name, ".zst"))
        compression = arrow::Compression::ZSTD;
    if (compression != arrow::Compression::UNCOMPRESSED)
        name.erase(name.rfind('.'));
    bool is_text = ends_with(name, ".csv") || ends_with(name, ".tsv") || ends_with(name, ".txt");
    bool is_parquet = ends_with(name, ".parquet");
    bool is_ipc =
        ends_with(name, ".arrow") || ends_with(name, ".feather") || ends_with(name, ".ipc");
    if (!is_text && (compression != arrow::Compression::UNCOMPRESSED || !(is_parquet || is_ipc)))
        return gn_fail(GN_ERR_UNSUPPORTED,
                       "%s: the ending is none of .csv, .tsv, .txt (each also with .gz or .zst), "
                       ".parquet, .arrow, .feather, .ipc",
                       path);

    auto file = arrow::io::ReadableFile::Open(path);
    if (!file.ok())
        return fail(path, file.status());
    auto size = (*file)->GetSize();
    if (!size.ok())
        return fail(path, size.status());
    if (*size == 0)
        return gn_fail(GN_ERR_EMPTY, "%s: the file is empty", path);
    if (is_parquet)
        return export_table(ret_stream, path, read_parquet(*file));
    if (is_ipc)
        return export_table(ret_stream, path, read_ipc(*file));

    auto table = read_text(path, compression, text_columns, true);
    if (!table.ok() && table.status().IsInvalid()) // only the serial reader knows the row's number
        table = read_text(path, compression, text_columns, false);
    return export_table(ret_stream, path, table);
}

// Arrow writes here, and the bytes go through base/file, which knows a full disk when it sees one.
class file_sink final : public arrow::io::OutputStream
{
  public:
    explicit file_sink(const char *path) : path_(path)
    {
        file_ = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (file_ < 0)
            status_ = gn_fail_errno(errno, "%s", path);
    }
    ~file_sink() override
    {
        (void)Close();
    }
    Status Write(const void *data, int64_t size) override
    {
        if (status_ == GN_OK)
            status_ = gn_file_write_all(file_, data, static_cast<size_t>(size), path_);
        position_ += size;
        return status_ == GN_OK ? Status::OK() : Status::IOError("write failed");
    }
    Result<int64_t> Tell() const override
    {
        return position_;
    }
    Status Close() override
    {
        if (file_ >= 0 && close(file_) != 0 && status_ == GN_OK)
            status_ = gn_fail_errno(errno, "%s", path_);
        file_ = -1;
        return status_ == GN_OK ? Status::OK() : Status::IOError("close failed");
    }
    bool closed() const override
    {
        return file_ < 0;
    }
    // The first failure of the file itself; its text is the last recorded one.
    gn_status status() const
    {
        return status_;
    }

  private:
    const char *path_;
    int file_ = -1;
    int64_t position_ = 0;
    gn_status status_ = GN_OK;
};

Status write_batch(const std::shared_ptr<file_sink> &sink, const std::string &name,
                   const std::shared_ptr<arrow::RecordBatch> &batch)
{
    if (ends_with(name, ".csv")) {
        auto options = arrow::csv::WriteOptions::Defaults();
        options.quoting_header = arrow::csv::QuotingStyle::None;
        options.quoting_style = arrow::csv::QuotingStyle::None; // a value that needs it is an error
        options.batch_size = 1 << 14;
        return arrow::csv::WriteCSV(*batch, options, sink.get());
    }
    if (ends_with(name, ".parquet")) {
        ARROW_ASSIGN_OR_RAISE(auto table, arrow::Table::FromRecordBatches({ batch }));
        auto properties =
            parquet::WriterProperties::Builder().compression(arrow::Compression::ZSTD)->build();
        return parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), sink,
                                          parquet::DEFAULT_MAX_ROW_GROUP_LENGTH, properties);
    }
    ARROW_ASSIGN_OR_RAISE(auto writer, arrow::ipc::MakeFileWriter(sink, batch->schema()));
    ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(*batch));
    return writer->Close();
}

} // namespace

gn_status arrow_read(struct ArrowArrayStream *ret_stream, const char *path,
                     const char *const *text_columns)
{
    return guard(path, [&] { return read_file(ret_stream, path, text_columns); });
}

gn_status arrow_map(struct ArrowArrayStream *ret_stream, const char *path)
{
    return guard(path, [&] {
        auto file = arrow::io::MemoryMappedFile::Open(path, arrow::io::FileMode::READ);
        if (!file.ok())
            return fail(path, file.status());
        return export_table(ret_stream, path, read_ipc(*file));
    });
}

gn_status arrow_write(const char *path, struct ArrowSchema *schema, struct ArrowArray *batch)
{
    return guard(path, [&] {
        auto columns = arrow::ImportRecordBatch(batch, schema);
        if (!columns.ok())
            return fail(path, columns.status());
        std::string name = lower_case(path);
        if (!ends_with(name, ".csv") && !ends_with(name, ".parquet") && !ends_with(name, ".arrow"))
            return gn_fail(GN_ERR_UNSUPPORTED, "%s: the ending is none of .csv, .parquet, .arrow",
                           path);
        auto sink = std::make_shared<file_sink>(path);
        if (sink->status() != GN_OK)
            return sink->status();
        Status status = write_batch(sink, name, *columns);
        if (status.ok())
            status = sink->Close();
        if (sink->status() != GN_OK)
            return sink->status();
        return status.ok() ? gn_path_sync(path) : fail(path, status);
    });
}

const char *arrow_version(void)
{
    return ARROW_VERSION_STRING;
}
